"""Slow definitions of what streams of text and ids say, and ids to feed them."""

from __future__ import annotations

from hypothesis import strategies as st

import texts
from anydraft import Retokenizer, Tokenizer


def between(before: list[int], after: list[int]) -> tuple[int, list[int]]:
    """The splice with the longest ``keep``."""
    keep = 0
    while keep < min(len(before), len(after)) and before[keep] == after[keep]:
        keep += 1
    return keep, after[keep:]


def whole(tokenizer: Tokenizer, data: bytes) -> list[int]:
    """The ids of a text pushed at once, which is its encoding where it can be written."""
    ids = tokenizer.encode(data)
    if ids is not None:
        return ids
    retokenizer = Retokenizer(tokenizer)
    retokenizer.push(data)
    return retokenizer.ids()


def unfinished(data: bytes) -> bytes:
    """The tail that some continuation would make a character; at most three bytes."""
    for length in range(min(3, len(data)), 0, -1):
        tail = data[-length:]
        try:
            tail.decode()
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                return tail
    return b""


IDS = st.lists(st.floats(0, 1, exclude_max=True), max_size=12)
"""Ids as fractions of a vocabulary."""


@st.composite
def pieces(draw: st.DrawFn, tokenizer: Tokenizer) -> list[int]:
    """Ids of any kind: of a text, of bytes one by one, or any at all, control tokens too."""
    data = draw(texts.data)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return whole(tokenizer, data)
    if kind == 1:
        return [i for byte in data if (i := tokenizer.find(bytes([byte]))) is not None]
    return [int(fraction * len(tokenizer)) for fraction in draw(IDS)]
