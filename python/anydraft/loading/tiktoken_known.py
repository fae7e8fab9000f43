"""Well-known files in tiktoken's format, told by their content, with what such a file leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownEncoding:
    """What belongs to the tokens of a file in tiktoken's format."""

    pattern: str
    """The regular expression that splits a text."""
    special_tokens: Mapping[str, int]
    opening: tuple[str, ...] = ()
    """Control tokens that the family's own tokenizer puts before every text."""
    classes: frozenset[str] = frozenset()
    """Tokenizer classes, as a folder's config names them, that read the file this way. Another class that
    brings code of its own may have other control tokens."""
    reserved: int = 0
    """As many ids after the ranks are control tokens whose names only the folder's config has."""


_GPT2 = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
_CL100K = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"""
    r"""\s*[\r\n]|\s+(?!\S)|\s"""
)
_O200K = (
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"""
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"""
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"""
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
_QWEN = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"""
    r"""\s+(?!\S)|\s+"""
)
_LLAMA_3 = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"""
    r"""\s*[\r\n]+|\s+(?!\S)|\s+"""
)
_KIMI = (
    r"""[\p{Han}]+|"""
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*"""
    r"""[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"""
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"""
    r"""[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"""
    r"""\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
_QWEN_3_5 = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"""
    r"""\s*[\r\n]+|\s+(?!\S)|\s+"""
)


def _numbered(first: int, *names: str) -> dict[str, int]:
    return {name: first + i for i, name in enumerate(names)}


_END = "<|endoftext|>"
_CHAT = (_END, "<|im_start|>", "<|im_end|>")
_FIM = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
_QWEN_3_5_NAMES = (
    *_CHAT, "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>",
    "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
    "<tool_call>", "</tool_call>", *_FIM, "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>",
    "</tool_response>", "<think>", "</think>", "<|audio_start|>", "<|audio_end|>", "<tts_pad>",
    "<tts_text_bos>", "<tts_text_eod>", "<tts_text_bos_single>", "<|audio_pad|>",
)  # fmt: skip

_BEGIN_TEXT = ("<|begin_of_text|>", "<|end_of_text|>")
_LLAMA_3_NAMES = (
    *_BEGIN_TEXT, "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>",
    "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
    "<|image|>", *(f"<|reserved_special_token_{i}|>" for i in range(2, 246)),
)  # fmt: skip
"""Ids 128000 to 128255."""


def _reserved(name: str, first: int, end: int) -> tuple[str, ...]:
    return tuple(f"<|{name}reserved_special_token_{i}|>" for i in range(first, end))


_LLAMA_4_NAMES = (
    *_BEGIN_TEXT, *_FIM,
    "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>",
    *_reserved("text_post_train_", 0, 6), "<|python_start|>", "<|python_end|>", "<|finetune_right_pad|>",
    *_reserved("text_post_train_", 8, 69),
    "<|image_start|>", "<|image_end|>", *_reserved("vision_", 0, 2), "<|tile_x_separator|>",
    "<|tile_y_separator|>", *_reserved("vision_", 2, 6), "<|image|>", *_reserved("vision_", 6, 7),
    "<|patch|>", *_reserved("vision_", 7, 1048),
    *_reserved("reasoning_", 0, 8), "<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>",
    *_reserved("", 0, 904),
)  # fmt: skip
"""Ids 200000 to 202047."""

LLAMA_3 = KnownEncoding(
    _LLAMA_3,
    _numbered(128000, *_LLAMA_3_NAMES),
    ("<|begin_of_text|>",),
    frozenset({"PreTrainedTokenizerFast", "LlamaTokenizer", "LlamaTokenizerFast", "TokenizersBackend"}),
)
LLAMA_4 = KnownEncoding(_O200K, _numbered(200000, *_LLAMA_4_NAMES), ("<|begin_of_text|>",), LLAMA_3.classes)
GLM_4 = KnownEncoding(
    _LLAMA_3,
    _numbered(
        151329,
        _END,
        "[MASK]",
        "[gMASK]",
        "[sMASK]",
        "<sop>",
        "<eop>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|observation|>",
        "<|begin_of_image|>",
        "<|end_of_image|>",
        "<|begin_of_video|>",
        "<|end_of_video|>",
    ),
    ("[gMASK]", "<sop>"),
    frozenset({"ChatGLM4Tokenizer"}),
)
KIMI = KnownEncoding(_KIMI, {}, classes=frozenset({"TikTokenTokenizer"}), reserved=256)
_QWEN_CLASSES = frozenset({"QWenTokenizer", "Qwen2Tokenizer", "Qwen2TokenizerFast"})

_BY_SHA256 = {
    # r50k_base (GPT-2)
    "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930": KnownEncoding(_GPT2, {_END: 50256}),
    # p50k_base
    "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069": KnownEncoding(_GPT2, {_END: 50256}),
    # cl100k_base
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7": KnownEncoding(
        _CL100K, _numbered(100257, _END, *_FIM) | {"<|endofprompt|>": 100276}
    ),
    # o200k_base
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d": KnownEncoding(
        _O200K, {_END: 199999, "<|endofprompt|>": 200018}
    ),
    # qwen, up to Qwen 3
    "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186": KnownEncoding(
        _QWEN, _numbered(151643, *_CHAT, *(f"<|extra_{i}|>" for i in range(205))), classes=_QWEN_CLASSES
    ),
    # qwen, from 3.5
    "8dde380a6405e935f5de16a99eb61c824f3f814dd1ed298784c72babb7a03cdd": KnownEncoding(
        _QWEN_3_5, _numbered(248044, *_QWEN_3_5_NAMES), classes=_QWEN_CLASSES
    ),
    # Meta's tokenizer.model of Llama 3 to 3.3
    "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55": LLAMA_3,
    # Meta's tokenizer.model of Llama 4
    "d0bdbaf59b0762c8c807617e2d8ea51420eb1b1de266df2495be755c8e0ed6ed": LLAMA_4,
    # Moonshot's tiktoken.model of Kimi K2 and later
    "b6c497a7469b33ced9c38afb1ad6e47f03f5e5dc05f15930799210ec050c5103": KIMI,
}

_BY_FAMILY = {
    ("llama", 128000): LLAMA_3,
    ("mllama", 128000): LLAMA_3,
    ("llama4", 200000): LLAMA_4,
    ("llama4_text", 200000): LLAMA_4,
    ("chatglm", 151329): GLM_4,
    ("glm", 151329): GLM_4,
    ("kimi_k2", 163584): KIMI,
    ("kimi_linear", 163584): KIMI,
}
"""By the ``model_type`` of the config beside the file, and how many ranks it has."""


def known_encoding(
    sha256: str, model_type: str | None = None, ranks: int | None = None
) -> KnownEncoding | None:
    """The rest of the tokenizer whose file has this SHA-256, in hex; ``None`` if unknown.

    A file of a known family that has another hash is told by the config beside it: its ``model_type``, if
    the number of ``ranks`` is that of the family too.
    """
    found = _BY_SHA256.get(sha256)
    return found or _BY_FAMILY.get((model_type or "", ranks or 0))
