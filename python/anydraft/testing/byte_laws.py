"""Laws of a tokenizer's bytes: its own ids and text against the bytes of its tokens."""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st

from anydraft.testing.cases import bytes_for, texts_for, token_ids
from anydraft.testing.judging import Law
from anydraft.testing.subject import Subject, guarded
from anydraft.testing.violation import Finding, FoundError, Ids

_ANCHOR = "a"
"""Decoded before the ids in question, because some decoders do something to the start of a text."""


def _spelled(subject: Subject, ids: list[int], label: str = "ids") -> Ids:
    return Ids.of(label, ids, subject.token_bytes)


def _bytes_of_ids(subject: Subject, text: str) -> None:
    """A space that the tokenizer puts before a text is its own, and counts as it wants."""
    ids = subject.ids(text)
    data, got = text.encode(), subject.bytes_of(ids)
    fitting = [data]
    if subject.dummy_prefix and data:
        fitting = [b" " + data, *([data] if data.startswith(b" ") else [])]
    if got not in fitting:
        what = "the bytes of the ids are not the bytes of the text"
        raise FoundError(Finding(what, {"text": text}, fitting[0], got, [_spelled(subject, ids)]))


def _text_of_tokens(subject: Subject, ids: list[int]) -> None:
    data = subject.bytes_of(ids)
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        reject()
    anchor = subject.ids(_ANCHOR)
    before, after = subject.text(anchor), subject.text([*anchor, *ids])
    if after != before + expected:
        what = "what the ids decode to is not what their bytes say"
        got = after.removeprefix(before).encode("utf-8", "surrogatepass")
        raise FoundError(Finding(what, {"ids": ids}, data, got, [_spelled(subject, ids)]))


def _canonical(subject: Subject, text: str) -> None:
    assert subject.encode_bytes is not None
    encode = subject.encode_bytes
    ids = subject.ids(text)
    data = subject.bytes_of(ids)
    again = guarded("encode_bytes", {"bytes": data}, lambda: encode(data))
    if again != ids:
        what = "the bytes of the ids are encoded with other ids than the text"
        sides = [
            _spelled(subject, ids, "of the text"),
            _spelled(subject, again or [], "of the bytes"),
        ]
        raise FoundError(Finding(what, {"text": text, "bytes": data}, ids=sides))


def _any_bytes(subject: Subject, data: bytes) -> None:
    assert subject.encode_bytes is not None
    encode = subject.encode_bytes
    ids = guarded("encode_bytes", {"bytes": data}, lambda: encode(data))
    if ids is None:
        if all(encode(bytes([byte])) is not None for byte in data):
            raise FoundError(Finding("bytes were refused that all have a token", {"bytes": data}))
        return
    got = subject.bytes_of(ids)
    if got != data:
        what = "the bytes of the ids are not the bytes that were encoded"
        raise FoundError(Finding(what, {"bytes": data}, data, got, [_spelled(subject, ids)]))


def _written_ids(subject: Subject) -> st.SearchStrategy[list[int]]:
    """Ids that stand for bytes."""
    return token_ids(subject).map(lambda ids: [i for i in ids if subject.bytes_of([i])])


BYTE_LAWS: list[Law[Subject]] = [
    Law(
        "bytes-of-ids",
        "the bytes of a text's ids, one after the other, are the bytes of the text",
        ("token_bytes",),
        texts_for,
        _bytes_of_ids,
        Subject.of,
    ),
    Law(
        "text-of-tokens",
        "ids decode to the text of their bytes, in any order",
        ("token_bytes", "size"),
        _written_ids,
        _text_of_tokens,
        Subject.of,
    ),
    Law(
        "canonical",
        "the bytes of a text's ids are encoded with the same ids",
        ("token_bytes", "encode_bytes"),
        texts_for,
        _canonical,
        Subject.of,
    ),
    Law(
        "any-bytes",
        "any bytes, also of a part of a character, come back from their ids",
        ("token_bytes", "encode_bytes"),
        bytes_for,
        _any_bytes,
        Subject.of,
    ),
]
"""They need the bytes of every token: anydraft's reading, or a ``token_bytes`` of the tokenizer's own."""
