"""Laws of a tokenizer's own library: what its encode and decode promise to whoever uses them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from hypothesis import strategies as st

from anydraft.testing import strategies
from anydraft.testing.allowances import kept_away, replaced_surrogates
from anydraft.testing.cases import texts_for
from anydraft.testing.judging import Law
from anydraft.testing.subject import Subject, guarded
from anydraft.testing.violation import Finding, FoundError, Given, Ids

_UNLIKE = "6174 is unlike any other text"

_REFUSALS = (ValueError, TypeError)
"""UnicodeError is a ValueError. Anything else is no refusal but a crash."""


def _spelled(subject: Subject, ids: list[int], label: str = "ids") -> Ids:
    return Ids.of(label, ids, subject.token_bytes)


def _round_trip(subject: Subject, text: str) -> None:
    ids = subject.ids(text)
    got = subject.text(ids)
    if got != text:
        what = "the text that is decoded is not the text that was encoded"
        raise FoundError(Finding(what, {"text": text}, _utf8(text), _utf8(got), [_spelled(subject, ids)]))


def _deterministic(subject: Subject, case: tuple[str, str]) -> None:
    text, other = case
    subject.ids(other)
    first = subject.ids(text)
    said = subject.text(first)
    subject.text(subject.ids(_UNLIKE))
    again = subject.ids(text)
    given: dict[str, Given] = {"text": text, "before": other, "between": _UNLIKE}
    if again != first:
        what = "the same text was encoded twice, and the ids differ"
        sides = [_spelled(subject, first, "first ids"), _spelled(subject, again, "second ids")]
        raise FoundError(Finding(what, given, ids=sides))
    repeated = subject.text(first)
    if repeated != said:
        what = "the same ids were decoded twice, and the texts differ"
        raise FoundError(Finding(what, {**given, "ids": first}, _utf8(said), _utf8(repeated)))


def _distinct(subject: Subject, case: tuple[str, str]) -> None:
    text, other = case
    ids = subject.ids(text)
    if text != other and subject.ids(other) == ids:
        what = "two texts have the same ids, so one of them cannot come back"
        raise FoundError(Finding(what, {"text": text, "other": other}, ids=[_spelled(subject, ids)]))


def _in_vocabulary(subject: Subject, text: str) -> None:
    ids = subject.ids(text)
    size = subject.size
    for i in ids:
        if not isinstance(i, int) or i < 0 or (size is not None and i >= size):
            what = f"got the id {i!r} of type {type(i).__name__}; expected an int from 0 to {size or 'any'}"
            raise FoundError(Finding(what, {"text": text, "ids": ids}))


def _no_control_tokens(subject: Subject, text: str) -> None:
    assert subject.special_tokens is not None
    controls = {i: content for content, i in subject.special_tokens.items()}
    ids = subject.ids(text)
    found = [i for i in ids if i in controls]
    if found:
        what = f"plain text was read as the control token {controls[found[0]]!r} (id {found[0]})"
        raise FoundError(Finding(what, {"text": text}, ids=[_spelled(subject, ids)]))


def _surrogates(subject: Subject, text: str) -> None:
    try:
        ids = list(subject.encode(text))
    except _REFUSALS:
        ids = None
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of a Rust extension is no Exception
        what = f"encode raised {type(error).__name__}, which is no ValueError or TypeError: {error}"
        raise FoundError(Finding(what, {"text": text})) from error
    if ids is not None:
        got = subject.text(ids)
        expected = replaced_surrogates(text) if "replaced-surrogates" in subject.allowed else None
        if got != expected:
            what = "a lone surrogate was encoded instead of refused; it was read as other text"
            raise FoundError(Finding(what, {"text": text, "read as": got}, ids=[_spelled(subject, ids)]))
    plain = kept_away("still works", subject.allowed, subject.core)
    _round_trip(subject, plain)


def _prefixes(subject: Subject, case: tuple[str, int]) -> None:
    """U+FFFD at the end of a prefix stands for a character that is not finished, or for itself."""
    text, cut = case
    ids = subject.ids(text)
    cut = min(cut, len(ids))
    whole, part = subject.text(ids), subject.text(ids[:cut])
    settled = part.rstrip("\ufffd")
    if not whole.startswith(settled):
        what = f"the first {cut} of {len(ids)} ids decode to text that all of them do not begin with"
        expected = whole[: len(settled)]
        raise FoundError(
            Finding(what, {"text": text}, _utf8(expected), _utf8(settled), [_spelled(subject, ids)])
        )


def _own_stream(subject: Subject, text: str) -> None:
    assert subject.stream is not None
    make, ids = subject.stream, subject.ids(text)
    got: str = guarded("the streaming decoder", {"text": text}, lambda: "".join(map(make(), ids)))
    whole = subject.text(ids)
    if got != whole:
        what = "the chunks of the streaming decoder do not add up to the decoding of the whole"
        raise FoundError(Finding(what, {"text": text}, _utf8(whole), _utf8(got), [_spelled(subject, ids)]))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_ALIKE: list[Callable[[str], str]] = [
    str.strip,
    str.lower,
    lambda text: text[:16],
    lambda text: text.replace(" ", "▁"),
    lambda text: unicodedata.normalize("NFKC", text),
]
"""What turns a text into one that a careless tokenizer or cache mistakes for it."""


def _pairs_of_texts(subject: Subject) -> st.SearchStrategy[tuple[str, str]]:
    """A text and another, often one much like it."""

    def near(text: str, other: str, change: Callable[[str], str] | None, order: int) -> tuple[str, str]:
        alike = other if change is None else kept_away(change(text), subject.allowed, subject.core)
        return (text, alike) if order == 0 else (alike, text)

    made = texts_for(subject)
    return st.builds(near, made, made, st.sampled_from([*_ALIKE, None]), st.sampled_from([0, 1]))


OWN_LAWS: list[Law[Subject]] = [
    Law("round-trip", "what was encoded decodes to the same text", (), texts_for, _round_trip, Subject.of),
    Law(
        "determinism",
        "the same text has the same ids, and the same ids the same text, whatever came between",
        (),
        _pairs_of_texts,
        _deterministic,
        Subject.of,
    ),
    Law(
        "distinct-ids",
        "different texts have different ids, also right after each other",
        (),
        _pairs_of_texts,
        _distinct,
        Subject.of,
    ),
    Law("vocabulary", "every id is an id of the vocabulary", (), texts_for, _in_vocabulary, Subject.of),
    Law(
        "no-control-tokens",
        "plain text has no control tokens, also where it looks like one",
        ("special_tokens",),
        texts_for,
        _no_control_tokens,
        Subject.of,
    ),
    Law(
        "surrogates",
        "a lone surrogate is refused with a ValueError or TypeError, and nothing is broken after that",
        (),
        lambda _: strategies.surrogates(),
        _surrogates,
        Subject.of,
    ),
    Law(
        "prefix-stability",
        "what the first ids decode to is what all of them begin with, but for an unfinished character",
        (),
        lambda subject: st.tuples(texts_for(subject), st.integers(0, 12)),
        _prefixes,
        Subject.of,
    ),
    Law(
        "own-stream",
        "the library's own streaming decoder says what its decode says",
        ("stream",),
        texts_for,
        _own_stream,
        Subject.of,
    ),
]
"""They need nothing but encode and decode."""
