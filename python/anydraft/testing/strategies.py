"""Text and bytes that hurt tokenizers, as hypothesis strategies.

Each hazard is a function that gives a strategy of its own; :func:`texts` mixes them, :func:`byte_strings`
cuts them within a character. No strategy but :func:`surrogates` gives text that UTF-8 cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hypothesis import strategies as st

Texts: TypeAlias = st.SearchStrategy[str]

_COMBINING = [
    *("e\u0301", "\u00e9", "a\u0308\u0323", "\u0301", "\u0300\u0301\u0302\u0303", "ﬁ", "Å", "\u212b", "각"),
    *("\u1100\u1161\u11a8", "\u1112\u1161", "क्ष", "नमस्ते", "ก็", "\u0e33", "ｶﾞ", "²", "㍿"),
]  # fmt: skip
_EMOJI = [
    *("😀", "👩\u200d👩\u200d👧", "🏳\ufe0f\u200d🌈", "👍🏽", "🇩🇪", "#\ufe0f\u20e3", "\U000e0041", "\u200d"),
    *("\ufe0f", "❤", "❤\ufe0f"),
]  # fmt: skip
_RIGHT_TO_LEFT = [
    *("שָׁלוֹם", "مرحبا", "ـــ", "\u202e", "\u202babc\u202c", "\u200f", "\u2067x\u2069", "١٢٣", "ﷺ"),
]  # fmt: skip
_CONTROLS = [
    *("\x00", "\x00\x00", "\x01", "\x04", "\x08", "\x1b[0m", "\x7f", "\x85", "\u00ad", "\ufeff", "\ufffd"),
    *("\ufffe", "\U0010ffff", "\ue000", "\u2028", "\u200b"),
]  # fmt: skip
_SCRIPTS = [
    *("世界", "你好,世界。", "東京タワー", "한국어", "Привет", "Γειά", "𠮷", "𝔘𝔫𝔦", "Straße", "ſ", "ǅ", "İ"),
    *("naïve", "ツ", "\U00050000"),
]  # fmt: skip
_WORDS = [
    *("the", " the", "The", "hello", " world", "HelloWorld", "snake_case", "I'm", "they'll", "CAN'T", "d’"),
    *("'S", "x != y", "a , b . c", " do n't", "://", "</", "{{", "->", "\\n", "#", "…", "“ ”", "!!!"),
]  # fmt: skip
_LOOK_ALIKES = [
    *("<s>", "</s>", "<unk>", "<bos>", "<eos>", "<pad>", "<mask>", "[INST]", "[UNK]", "[CLS]", "<0x0A>"),
    *("<0xFF>", "<0xe9>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<start_of_turn>", "<unused7>"),
    *("<|", "|>", "Ċ", "Ġ", "Ġthe", "ĉ", "Ã©", "▁", "▁the", "▁▁", "##ing", "</w>", "<h1>"),
]  # fmt: skip

_EDGES = ["", " ", "  ", "\n", "\t", "\x00", "\ufffd", "\u0301", "\u200d", "\ufeff", "\r", "▁"]
"""What is lost most easily at the start or the end of a text."""

_MOST_SPECIALS = 64
"""Of more control tokens than this only some are tried, spread evenly."""


def whitespace_runs() -> Texts:
    """Spaces, tabs, line ends of all kinds and the spaces of Unicode, in runs."""
    kinds = st.sampled_from(
        [" ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\v", "\f", "\u2009"]
    )
    runs = st.builds(str.__mul__, kinds, st.sampled_from([1, 2, 3, 4, 8, 17]))
    return st.lists(runs, min_size=1, max_size=3).map("".join)


def digit_runs() -> Texts:
    """Digits of any length, for patterns that group them by three; decimal signs, other scripts."""
    plain = st.text("0123456789", min_size=1, max_size=14)
    return st.one_of(
        plain, st.sampled_from(["1,000,000", "3.14159e-10", "٣", "½", "Ⅷ", "10%", "0x1F", "１２３"])
    )


def combining_marks() -> Texts:
    """Characters with more than one spelling, and marks without a letter: what normal forms change."""
    return st.sampled_from(_COMBINING)


def emoji() -> Texts:
    """Emoji joined by U+200D, with variation selectors, skin tones and flags; the joiners alone."""
    return st.sampled_from(_EMOJI)


def right_to_left() -> Texts:
    """Hebrew and Arabic with their marks, and the characters that turn the direction."""
    return st.sampled_from(_RIGHT_TO_LEFT)


def controls() -> Texts:
    """NUL and other control characters, byte order marks, U+FFFD itself, what Unicode leaves unassigned."""
    return st.sampled_from(_CONTROLS)


def scripts() -> Texts:
    """Letters of two, three and four bytes; letters whose case changes their length."""
    return st.sampled_from(_SCRIPTS)


def words() -> Texts:
    """Words, contractions and signs of code, where patterns cut and decoders like to tidy up."""
    return st.sampled_from(_WORDS)


def special_look_alikes(added_tokens: Sequence[str] = ()) -> Texts:
    """Plain text that looks like a control token, a byte token or a vocabulary's own writing.

    ``added_tokens``: contents of the added tokens of the tokenizer under test; given half of the time.
    """
    known = st.sampled_from(_LOOK_ALIKES)
    own = sorted({token for token in added_tokens if token})
    own = own[:: -(-len(own) // _MOST_SPECIALS)] if own else own
    if not own:
        return known
    beside = st.sampled_from(["", "", " ", "  ", "\n", "x"])
    return st.one_of(known, st.tuples(beside, st.sampled_from(own), beside).map("".join))


def long_words() -> Texts:
    """One word of up to 2,000 letters, with no place to cut it."""
    return st.builds(
        str.__mul__, st.sampled_from(["a", "ab", "é", "世", "9"]), st.sampled_from([40, 150, 600, 1000])
    )


HAZARDS: dict[str, Callable[[], Texts]] = {
    "whitespace_runs": whitespace_runs,
    "digit_runs": digit_runs,
    "combining_marks": combining_marks,
    "emoji": emoji,
    "right_to_left": right_to_left,
    "controls": controls,
    "scripts": scripts,
    "words": words,
    "special_look_alikes": special_look_alikes,
    "long_words": long_words,
}
"""Every hazard that is text, by name."""


def texts(added_tokens: Sequence[str] = ()) -> Texts:
    """Any text that UTF-8 can write, hazards often: alone, beside each other, between any characters.

    ``added_tokens``: as of :func:`special_look_alikes`.
    """
    kinds = [make() for name, make in HAZARDS.items() if name not in ("special_look_alikes", "long_words")]
    piece = st.one_of(st.text(max_size=3), special_look_alikes(added_tokens), *kinds)
    few = st.lists(piece, max_size=8).map("".join)
    edge = st.sampled_from(_EDGES)
    edged = st.tuples(edge, few, edge).map("".join)
    spaced = st.lists(piece, max_size=4).map(" ".join)
    shuffled = st.text(alphabet=" \n\r\taA1's.é世\u0301\u00a0/", max_size=20)
    many = st.lists(piece, min_size=8, max_size=20).map("".join)
    long = st.tuples(few, long_words(), few).map("".join)
    return st.one_of(few, edged, spaced, shuffled, many, many, long)


@st.composite
def partial_code_points(draw: st.DrawFn) -> bytes:
    """Bytes of a text cut within a character at its start, at its end, or both."""
    data = draw(st.one_of(scripts(), emoji(), combining_marks(), texts())).encode()
    start = draw(st.integers(0, min(3, len(data))))
    return data[start : len(data) - draw(st.integers(0, min(3, len(data) - start)))]


def byte_strings(added_tokens: Sequence[str] = ()) -> st.SearchStrategy[bytes]:
    """Any bytes: texts, texts cut within a character, and what is no text at all."""
    return st.one_of(texts(added_tokens).map(str.encode), partial_code_points(), st.binary(max_size=8))


def surrogates() -> Texts:
    """Text with at least one lone surrogate, which no encoding of UTF-8 has."""
    alone = st.sampled_from(["\ud800", "\udbff", "\udc00", "\udfff", "\udc00\ud800"])
    return st.tuples(st.sampled_from(["", "a", "é "]), alone, st.sampled_from(["", "b", " 世"])).map("".join)


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Where to cut a sequence of ``length`` into pieces: ascending offsets, ends not included, maybe none."""
    return st.lists(st.integers(0, length), max_size=6).map(sorted)
