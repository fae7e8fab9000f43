"""What laws are tried on: texts that suit a subject, ids, and what is done to a stream."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import strategies as st

from anydraft.testing import strategies
from anydraft.testing.allowances import kept_away
from anydraft.testing.subject import Subject

Step: TypeAlias = bytes | float
"""Bytes to append, or the part of what is there to keep."""


def texts_for(subject: Subject) -> st.SearchStrategy[str]:
    """Texts with the look-alikes of the subject's own control tokens, without what is allowed it."""
    made = strategies.texts(subject.look_alikes)
    if not subject.allowed:
        return made
    return made.map(lambda text: kept_away(text, subject.allowed, subject.core))


def bytes_for(subject: Subject) -> st.SearchStrategy[bytes]:
    """Any bytes."""
    return strategies.byte_strings(subject.look_alikes)


@st.composite
def token_ids(draw: st.DrawFn, subject: Subject, max_size: int = 12) -> list[int]:
    """Ids of any kind: those of a text, of bytes one by one, or any at all, control tokens too."""
    assert subject.size is not None
    kind = draw(st.sampled_from(["text", "any", "bytes", "mixed"]))
    if kind == "any" or subject.encode_bytes is None:
        return draw(st.lists(st.integers(0, subject.size - 1), max_size=max_size))
    data = draw(bytes_for(subject))
    if kind == "text":
        return subject.encode_bytes(data) or []
    single = [subject.encode_bytes(bytes([byte])) for byte in data[:24]]
    ids = [i for found in single for i in found or ()]
    if kind == "mixed" and ids:
        at = draw(st.integers(0, len(ids)))
        ids.insert(at, draw(st.integers(0, subject.size - 1)))
    return ids


def steps(subject: Subject) -> st.SearchStrategy[list[Step]]:
    """What may happen to a text that grows: pieces pushed, at once or byte by byte, and parts taken back."""
    push = bytes_for(subject).map(lambda data: [data])
    fragile = [strategies.digit_runs(), strategies.words(), strategies.whitespace_runs(), strategies.emoji()]
    slowly = st.builds(_pieces, st.one_of(*fragile).map(str.encode), st.integers(1, 3))
    back = st.floats(0, 1).map(lambda part: [part])
    some: st.SearchStrategy[list[list[Step]]] = st.lists(st.one_of(push, slowly, slowly, back), max_size=6)
    return some.map(lambda lists: [step for one in lists for step in one])


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]
