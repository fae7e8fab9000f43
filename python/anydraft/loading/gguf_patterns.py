"""How a text is cut before it is encoded, by the name that a GGUF file gives for it: llama.cpp's own table.

A file says ``tokenizer.ggml.pre``. For most names transformers knows no pattern, and takes that of GPT-2;
what it knows differs by its version. Names and patterns here are those of llama.cpp (``llama-vocab.cpp``).
"""

from __future__ import annotations

from typing import NamedTuple

RECIPE = 3
"""A part of the names in the cache: raise it when a tokenizer made of the same file becomes another."""


class Cut(NamedTuple):
    """How a byte-level tokenizer of a GGUF file reads a text."""

    patterns: tuple[str, ...]
    """Each cuts the pieces that those before it left, into what it matches and what is between."""
    whole: bool = False
    """Whether a piece that is a token is that token, whatever its merges would make of it."""


_SHORT = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_ENDS = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD, _SIGNS = r"[^\r\n\p{L}\p{N}]?\p{L}+", r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LLAMA3 = rf"{_SHORT}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|{_ENDS}"
_QWEN2 = rf"{_SHORT}|{_WORD}|\p{{N}}|{_SIGNS}|{_ENDS}"
_NUMBERS = r"\p{N}{1,3}"
_KANA = "[一-龥\u3040-ゟ゠-ヿ]+"
_ASCII_SIGNS = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"
_MARKED = rf"{_ASCII_SIGNS}[A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
_DEEPSEEK3 = rf"{_MARKED}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_ENDS}"
_LOW, _UP = r"((?=[\p{L}])([^A-Z]))", r"((?=[\p{L}])([^a-z]))"
_FIRST = r"[^\r\n\p{L}\p{N}]?"
_ANY = r"[\p{L}\p{M}]"
_REST = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_ENDS}"
_CASED = rf"{_FIRST}{_ANY}+{_SHORT}?"
"""Upper and lower case letters are alike where a pattern names them by category."""
_BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+"
_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-"
    "ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-"
    "ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
"""Of DeepSeek LLM."""
_CJK = r"[一-龥ࠀ-一가-\uD7FF&&\S]+"

_FAMILIES: dict[str, Cut] = {
    "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en "
    "jina-v2-code roberta-bpe mpt olmo jais trillion granite-docling exaone4": Cut((_GPT2,)),
    "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2": Cut((r"\p{N}", _GPT2)),
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano glm4 glm5": Cut(
        (_LLAMA3,), whole=True
    ),
    "dbrx smaug-bpe chatglm-bpe": Cut((_LLAMA3,)),
    "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2": Cut((_QWEN2,)),
    "qwen35": Cut(
        (
            rf"{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
            rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_ENDS}",
        )
    ),
    "deepseek-llm": Cut(
        (
            r"[\r\n]",
            rf"\s?[{_LETTERS}]+",
            r"\s?[!-/:-~！-／：-～‘-‟\u3000-。&&\S]+",
            r"\s+$",
            _CJK,
            r"\p{N}+",
        )
    ),
    "deepseek-coder": Cut((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK, r"\p{N}")),
    "deepseek-v3 hunyuan-dense joyai-llm hy_v4": Cut((_NUMBERS, _KANA, _DEEPSEEK3)),
    "spark2_5": Cut((_NUMBERS, _KANA, rf"{_MARKED}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+", r"\p{N}")),
    "youtu": Cut(
        (
            "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" + _KANA,
            rf"{_CASED}|\p{{N}}|{_REST}",
        ),
        whole=True,
    ),
    "falcon": Cut((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    "poro-chat bloom gpt3-finnish": Cut((_BLOOM,)),
    "viking": Cut((_BLOOM, r"\p{N}")),
    "tekken": Cut((rf"{_FIRST}{_UP}*{_LOW}+|{_FIRST}{_UP}+{_LOW}*|\p{{N}}|{_REST}",), whole=True),
    "gpt-4o llama4 kanana2 talkie minimax-m2": Cut(
        (rf"{_FIRST}{_UP}*{_LOW}+{_SHORT}?|{_FIRST}{_UP}+{_LOW}*{_SHORT}?|\p{{N}}{{1,3}}|{_REST}",)
    ),
    "chameleon": Cut(
        (
            "<sentinel:[0-9]+>",
            "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
            r"([\t\n]|    |  )",
            r"\p{N}",
            r"[\p{P}!-/:-@\[-`{-~]",
            _GPT2,
        )
    ),
    "bailingmoe bailingmoe2 llada-moe": Cut(
        (
            r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        )
    ),
    "seed-coder": Cut((rf"{_SHORT}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_ENDS}",)),
    "ufakzeka": Cut((rf"{_WORD}|\p{{N}}|{_SIGNS}|{_ENDS}",)),
    "laguna": Cut((r"[^\n]+|[\n]+", _QWEN2)),
    "exaone-moe": Cut(
        (
            rf"{_SHORT}|{_FIRST}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
        )
    ),
    "minicpm5": Cut((_NUMBERS, rf"{_SHORT}|{_WORD}|\p{{N}}+|{_SIGNS}|{_ENDS}"), whole=True),
    "jais-2": Cut(
        (
            rf"{_SHORT}|{_WORD}|\p{{N}}{{1,3}}|{_SIGNS}|\s*[\r\n]+|"
            + "|".join(rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4))
            + r"|\s{1,2}(?!\S)|\s{1}",
        )
    ),
    "default": Cut((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
}

CUTS = {name: cut for names, cut in _FAMILIES.items() for name in names.split()}
"""By the name in ``tokenizer.ggml.pre``; a file without one is read as ``default``."""
