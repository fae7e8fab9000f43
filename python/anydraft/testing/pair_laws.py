"""Laws of two tokenizers joined: translation, and what a draft is shown while a target speaks."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from anydraft.testing import strategies
from anydraft.testing.allowances import kept_away
from anydraft.testing.cases import bytes_for, texts_for, token_ids
from anydraft.testing.judging import Law
from anydraft.testing.pair import SubjectPair
from anydraft.testing.stream_laws import between, finished
from anydraft.testing.subject import Splice, Subject, guarded
from anydraft.testing.violation import Finding, FoundError, Given, Ids


def _tables(pair: SubjectPair, case: tuple[str, int]) -> None:
    side, i = case
    source, other = (pair.draft, pair.target) if side == "draft" else (pair.target, pair.draft)
    j = (pair.to_target if side == "draft" else pair.to_draft)(i)
    data = source.bytes_of([i])
    if j < 0:
        found = other.core.find(data) if data and other.core is not None else None
        if found is not None:
            what = f"the {side}'s id {i} has no partner, but the other side's id {found} has its bytes"
            raise FoundError(Finding(what, {"id": i, "bytes": data}))
        return
    got = guarded("token_bytes", {"id": j}, lambda: other.bytes_of([j]))
    if got != data:
        what = f"the {side}'s id {i} is translated to {j}, which has other bytes"
        sides = [_spelled(source, [i], side), _spelled(other, [j], "partner")]
        raise FoundError(Finding(what, {"id": i}, data, got, sides))


def _expansion(pair: SubjectPair, i: int) -> None:
    data = pair.draft.bytes_of([i])
    row = guarded("the expansion", {"id": i}, lambda: pair.expand(i))
    got = pair.target.bytes_of(row)
    assert pair.target.encode_bytes is not None
    if got != data and (row or pair.target.encode_bytes(data) is not None):
        what = f"the draft's id {i} is expanded to target ids with other bytes"
        sides = [_spelled(pair.draft, [i], "draft id"), _spelled(pair.target, row, "target ids")]
        raise FoundError(Finding(what, {"id": i}, data, got, sides))


def _translation(pair: SubjectPair, text: str) -> None:
    """A space that a tokenizer puts before a text is left to each side."""
    target, draft = pair.target, pair.draft
    said = target.ids(text)
    data = target.bytes_of(said)
    data = data.removeprefix(b" ") if target.dummy_prefix else data
    assert draft.encode_bytes is not None
    ids = draft.encode_bytes(b" " + data if draft.dummy_prefix and data else data)
    assume(ids is not None)
    got = draft.text(ids or [])
    if got != text:
        what = "a text encoded by the target and carried over as bytes is another text to the draft"
        sides = [_spelled(target, said, "target ids"), _spelled(draft, ids or [], "draft ids")]
        raise FoundError(
            Finding(what, {"text": text}, text.encode(), got.encode("utf-8", "surrogatepass"), sides)
        )


def _view(pair: SubjectPair, case: tuple[bytes, list[int], list[list[int]]]) -> None:
    written, places, drafts = case
    said = _written(pair, written)
    session, given, text, done = pair.session(), dict[str, Given](), "", 0
    for n, end in enumerate([*(min(place, len(said)) for place in places), len(said)]):
        drafted = drafts[n] if n < len(drafts) else []
        shown = session.view() + drafted
        given |= {f"{n + 1}. draft": drafted, f"{n + 1}. commit": said[done:end]}
        new = said[done:end]
        chunk, data, keep, append = guarded("commit", dict(given), partial(session.commit, new, drafted))
        if data != pair.target.bytes_of(new):
            what = "a commit gives other bytes than its ids have"
            raise FoundError(Finding(what, given, pair.target.bytes_of(new), data))
        text, done = text + chunk, end
        _shown(pair, given, said[:end], shown, (keep, append), session.view())
        expected = finished(pair.target.bytes_of(said[:end]))[0]
        if text != expected:
            what = "the text handed out is not the text that the target has said by now"
            raise FoundError(Finding(what, given, expected.encode(), text.encode("utf-8", "surrogatepass")))


def _proposal(pair: SubjectPair, case: tuple[bytes, list[int]]) -> None:
    data, drafted = case
    said = _written(pair, data)
    session = pair.session()
    session.commit(said, [])
    given: dict[str, Given] = {"commit": said, "draft": drafted}
    proposed = guarded("propose", given, lambda: session.propose(drafted))
    written = pair.draft.bytes_of(drafted)
    written = written[: len(written) - len(finished(written)[1])]
    assert pair.target.encode_bytes is not None
    expected = pair.target.encode_bytes(written)
    if proposed != (expected or []):
        what = "the proposal is not the target's encoding of what was drafted"
        lists = [("encoding", expected or []), ("proposal", proposed)]
        sides = [_spelled(pair.target, ids, label) for label, ids in lists]
        raise FoundError(Finding(what, given, written, pair.target.bytes_of(proposed), sides))


def _shown(
    pair: SubjectPair,
    given: dict[str, Given],
    said: list[int],
    shown: list[int],
    splice: Splice,
    view: list[int],
) -> None:
    """The draft's view has the bytes that were said, and the splice leads there, keeping all it can."""
    data, got = pair.target.bytes_of(said), pair.draft.bytes_of(view)
    sides = [_spelled(pair.target, said, "target ids"), _spelled(pair.draft, view, "draft's view")]
    if got != data:
        raise FoundError(
            Finding("the draft's view has other bytes than what was said", given, data, got, sides)
        )
    expected = between(shown, view)
    if (splice[0], list(splice[1])) != expected:
        what = f"got the splice (keep, append) {tuple(splice)}; expected {expected}"
        raise FoundError(Finding(what, {**given, "shown": shown}, ids=sides))


def _written(pair: SubjectPair, data: bytes) -> list[int]:
    """The target's ids of bytes that both sides can write."""
    assert pair.target.encode_bytes is not None
    assert pair.draft.encode_bytes is not None
    ids = pair.target.encode_bytes(data)
    assume(ids is not None and pair.draft.encode_bytes(data) is not None)
    return ids or []


def _spelled(subject: Subject, ids: list[int], label: str) -> Ids:
    return Ids.of(label, ids, subject.token_bytes)


def _texts(pair: SubjectPair) -> st.SearchStrategy[str]:
    return texts_for(pair.target).map(lambda text: kept_away(text, pair.draft.allowed, pair.draft.core))


def _drafted(pair: SubjectPair) -> st.SearchStrategy[list[int]]:
    """Draft ids that stand for bytes."""
    return token_ids(pair.draft).map(lambda ids: [i for i in ids if pair.draft.bytes_of([i])])


def _single(subject: Subject) -> st.SearchStrategy[int]:
    assert subject.size is not None
    likely = token_ids(subject).filter(bool).flatmap(st.sampled_from)
    return st.one_of(likely, st.integers(0, subject.size - 1))


def _either(pair: SubjectPair) -> st.SearchStrategy[tuple[str, int]]:
    sides = {"draft": pair.draft, "target": pair.target}
    return st.one_of(*(st.tuples(st.just(name), _single(side)) for name, side in sides.items()))


def _law(name: str, statement: str, cases: Any, holds: Any) -> Law[SubjectPair]:
    return Law(name, statement, (), cases, holds, SubjectPair.of)


PAIR_LAWS: list[Law[SubjectPair]] = [
    _law(
        "pair-tables", "partners have equal bytes, and what has no partner has none to have", _either, _tables
    ),
    _law(
        "pair-expansion",
        "the target tokens that write a draft token have its bytes",
        lambda pair: _single(pair.draft),
        _expansion,
    ),
    _law(
        "pair-translation",
        "a text that the target encodes is the same text to the draft, carried over as bytes",
        _texts,
        _translation,
    ),
    _law(
        "pair-view",
        "the draft is shown the bytes that the target said, by splices that keep all they can",
        lambda pair: st.tuples(
            bytes_for(pair.target), strategies.cuts(12), st.lists(_drafted(pair), max_size=3)
        ),
        _view,
    ),
    _law(
        "pair-proposal",
        "what is proposed to the target is its own encoding of what was drafted",
        lambda pair: st.tuples(bytes_for(pair.target), _drafted(pair)),
        _proposal,
    ),
]
"""They are about anydraft's bridge between two tokenizers, and about the tokenizers through it."""
