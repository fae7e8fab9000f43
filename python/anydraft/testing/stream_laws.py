"""Laws of what grows piece by piece: incremental equals whole, and taking back leaves no trace."""

from __future__ import annotations

import codecs
from functools import partial
from typing import Any

from hypothesis import strategies as st

from anydraft.testing import strategies
from anydraft.testing.cases import Step, steps, token_ids
from anydraft.testing.judging import Law
from anydraft.testing.subject import Splice, Subject, guarded
from anydraft.testing.violation import Finding, FoundError, Given, Ids


def between(before: list[int], after: list[int]) -> Splice:
    """The splice that leads from one list of ids to another with the longest ``keep``."""
    keep = 0
    while keep < min(len(before), len(after)) and before[keep] == after[keep]:
        keep += 1
    return keep, after[keep:]


def finished(data: bytes) -> tuple[str, bytes]:
    """The text of bytes as far as it is decided, and the unfinished character at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(data), decoder.getstate()[0]


def _incremental_decoding(subject: Subject, case: tuple[list[int], list[int]]) -> None:
    ids, places = case
    assert subject.detokenizer is not None
    stream = subject.detokenizer()
    text, done = "", 0
    given: dict[str, Given] = {"ids": ids}
    for n, end in enumerate([*(min(place, len(ids)) for place in places), len(ids)], 1):
        piece, done = ids[done:end], end
        given = {**given, f"{n}. push": piece}
        text += _call(given, "push", lambda piece=piece: stream.push(piece))
        data = subject.bytes_of(ids[:end])
        expected = finished(data)[0]
        if text != expected:
            what = f"after {end} ids the chunks are not the text that is decided by then"
            raise FoundError(_texts(subject, what, given, expected, text, ids[:end]))
    text += _call(given, "finish", stream.finish)
    whole = subject.bytes_of(ids).decode(errors="replace")
    if text != whole:
        what = "all chunks together are not the text of the whole"
        raise FoundError(_texts(subject, what, given, whole, text, ids))


def _undone_decoding(subject: Subject, case: tuple[list[int], list[int], float]) -> None:
    """After truncation the text goes on from the last whole character that is left."""
    before, after, part = case
    assert subject.detokenizer is not None
    keep = int(part * len(before))
    stream, straight = subject.detokenizer(), subject.detokenizer()
    given: dict[str, Given] = {"1. push": before, "2. keep": keep, "3. push": after}
    _call(given, "push", lambda: stream.push(before))
    _call(given, "truncate", lambda: stream.truncate(keep))
    _call(given, "push", lambda: straight.push(before[:keep]))
    for name in ("push", "finish"):
        call = (lambda s: s.push(after)) if name == "push" else (lambda s: s.finish())
        got, expected = (_call(given, name, lambda s=s, call=call: call(s)) for s in (stream, straight))
        if got != expected:
            what = f"after a truncation {name} says other text than if nothing had been taken back"
            raise FoundError(_texts(subject, what, given, expected, got, before[:keep] + after))


def _incremental_encoding(subject: Subject, changes: list[Step]) -> None:
    for given, data, _, ids, _ in _runs(subject, changes):
        expected = _whole(subject, data)
        if ids != expected:
            what = "after these steps the ids are not those of the whole text"
            sides = [
                _spelled(subject, expected, "at once"),
                _spelled(subject, ids, "in pieces"),
            ]
            raise FoundError(Finding(what, {**given, "text": data}, ids=sides))


def _splices(subject: Subject, changes: list[Step]) -> None:
    for given, data, before, after, splice in _runs(subject, changes):
        expected = between(before, after)
        if (splice[0], list(splice[1])) != expected:
            applied = [*before[: splice[0]], *splice[1]]
            what = (
                f"the splice keeps {splice[0]} ids where {expected[0]} stay the same"
                if applied == after
                else f"the splice (keep {splice[0]}, append {list(splice[1])}) does not lead to the new ids"
            )
            sides = [_spelled(subject, after, "new ids"), _spelled(subject, applied, "ids by the splice")]
            raise FoundError(Finding(what, {**given, "text": data, "old ids": before}, ids=sides))


def _runs(subject: Subject, changes: list[Step]) -> Any:
    """Each step done: what was given so far, the bytes, the ids before and after, the splice."""
    assert subject.retokenizer is not None
    stream = subject.retokenizer()
    given: dict[str, Given] = {}
    data, before = b"", list[int]()
    for n, change in enumerate(changes, 1):
        if isinstance(change, bytes):
            data += change
            given[f"{n}. push"] = change
            splice = _call(given, "push", partial(stream.push, change))
        else:
            length = int(len(data) * change)
            data, given[f"{n}. keep"] = data[:length], length
            splice = _call(given, "truncate", partial(stream.truncate, length))
        after = list(_call(given, "ids", stream.ids))
        yield given, data, before, after, splice
        before = after


def _whole(subject: Subject, data: bytes) -> list[int]:
    """The ids of a text at once: its encoding, or where it cannot be written, what one push makes of it."""
    if subject.encode_bytes is not None:
        ids = subject.encode_bytes(data)
        if ids is not None:
            return ids
    elif not finished(data)[1] and b"\xef\xbf\xbd" not in data:
        text = data.decode(errors="replace")
        if "\ufffd" not in text:
            return subject.ids(text)
    assert subject.retokenizer is not None
    stream = subject.retokenizer()
    stream.push(data)
    return list(stream.ids())


def _call(given: dict[str, Given], what: str, call: Any) -> Any:
    return guarded(what, dict(given), call)


def _spelled(subject: Subject, ids: list[int], label: str = "ids") -> Ids:
    return Ids.of(label, ids, subject.token_bytes)


def _texts(
    subject: Subject, what: str, given: dict[str, Given], expected: str, got: str, ids: list[int]
) -> Finding:
    before, after = (text.encode("utf-8", "surrogatepass") for text in (expected, got))
    return Finding(what, given, before, after, [_spelled(subject, ids)])


def _ids_and_cuts(subject: Subject) -> st.SearchStrategy[tuple[list[int], list[int]]]:
    return token_ids(subject).flatmap(lambda ids: st.tuples(st.just(ids), strategies.cuts(len(ids))))


STREAM_LAWS: list[Law[Subject]] = [
    Law(
        "incremental-decoding",
        "ids pushed in pieces give the text of all, each character as soon as it is whole and not before",
        ("detokenizer", "token_bytes", "size"),
        _ids_and_cuts,
        _incremental_decoding,
        Subject.of,
    ),
    Law(
        "undone-decoding",
        "a truncation leaves no trace of the ids that it took back",
        ("detokenizer", "size"),
        lambda subject: st.tuples(token_ids(subject), token_ids(subject), st.floats(0, 1)),
        _undone_decoding,
        Subject.of,
    ),
    Law(
        "incremental-encoding",
        "text pushed in pieces and taken back has the ids of what is left, encoded at once",
        ("retokenizer",),
        steps,
        _incremental_encoding,
        Subject.of,
    ),
    Law(
        "splices",
        "what a change says it keeps and appends leads from the old ids to the new, and it keeps all it can",
        ("retokenizer",),
        steps,
        _splices,
        Subject.of,
    ),
]
"""They need the streams: anydraft's, or the tokenizer's own."""
