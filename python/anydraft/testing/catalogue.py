"""All laws, by name, and all of them at once."""

from __future__ import annotations

from typing import Any

from anydraft.errors import ArgumentError
from anydraft.testing.byte_laws import BYTE_LAWS
from anydraft.testing.judging import EXAMPLES, Law
from anydraft.testing.own_laws import OWN_LAWS
from anydraft.testing.pair import SubjectPair
from anydraft.testing.pair_laws import PAIR_LAWS
from anydraft.testing.stream_laws import STREAM_LAWS
from anydraft.testing.subject import Subject
from anydraft.testing.violation import LawsBrokenError

__all__ = ["LAWS", "PAIR_LAWS", "check_laws", "law"]

LAWS: list[Law[Subject]] = [*OWN_LAWS, *BYTE_LAWS, *STREAM_LAWS]
"""The laws of one tokenizer."""


def law(name: str) -> Law[Any]:
    """A law of one tokenizer or of a pair, by its name.

    Raises:
        ArgumentError: no law has this name.
    """
    every: list[Law[Any]] = [*LAWS, *PAIR_LAWS]
    laws = {one.name: one for one in every}
    if name not in laws:
        raise ArgumentError(f"got the law {name!r}; expected one of {', '.join(laws)}")
    return laws[name]


def check_laws(
    *tokenizers: Any,
    examples: int = EXAMPLES,
    seed: int | None = 0,
    allow: tuple[str, ...] | list[str] = (),
) -> None:
    """Fail with an explanation of every law that is broken: of one tokenizer, or of a target and a draft.

    Of a pair only the laws of pairs are checked. ``seed`` and ``allow``: as of :meth:`Law.check`. Laws that
    need what a tokenizer does not offer are left out.

    Raises:
        LawsBrokenError: an ``AssertionError`` that explains everything found.
        ArgumentError: neither one tokenizer nor two; an allowance of no such name.
    """
    if len(tokenizers) not in (1, 2):
        raise ArgumentError(f"got {len(tokenizers)} tokenizers; expected one, or a target and a draft")
    subject: Any = Subject.of(*tokenizers) if len(tokenizers) == 1 else SubjectPair.of(*tokenizers)
    subject = subject.allow(*allow)
    laws: list[Any] = LAWS if len(tokenizers) == 1 else PAIR_LAWS
    verdicts = [one.judge(subject, examples=examples, seed=seed) for one in laws]
    found = [verdict.violation for verdict in verdicts if verdict.violation is not None]
    if found:
        raise LawsBrokenError(found)
