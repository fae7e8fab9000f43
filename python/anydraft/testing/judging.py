"""A named law, and the search for the smallest text that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from anydraft._core import Tokenizer
from anydraft.errors import AnydraftError, ArgumentError
from anydraft.testing.allowances import ALLOWANCES, kept_away
from anydraft.testing.violation import FoundError, LawBrokenError

EXAMPLES = 200
"""How many examples a law is tried on, unless asked otherwise."""
_BATCH = 25
"""Searched with one seed; hypothesis varies what it has found, so a fresh start sees more kinds of text."""
_TEXTS = ("text", "other")
"""What a finding calls the texts that were tried."""
_SEEDS = 1 << 20
"""Seeds of batches between two seeds of a search."""

Outcome: TypeAlias = Literal["passed", "failed", "skipped"]


class Tested(Protocol):
    """A subject, or a pair of them."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def lacks(self) -> str:
        """Why what is ``None`` is."""

    @property
    def cores(self) -> tuple[Tokenizer | None, ...]:
        """Each tokenizer as anydraft reads it."""


T = TypeVar("T", bound=Tested)


class LawSkippedError(AnydraftError, SkipTest):
    """A law that cannot be asked of this tokenizer. pytest and unittest count it as skipped."""


@dataclass(frozen=True)
class Verdict:
    """What became of one law."""

    law: str
    statement: str
    outcome: Outcome
    examples: int
    """How many were tried until it was decided, those of the shrinking not among them."""
    seconds: float
    violation: LawBrokenError | None = None
    reason: str | None = None
    """Why it was skipped."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "law": self.law,
            "statement": self.statement,
            "outcome": self.outcome,
            "examples": self.examples,
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "violation": None if self.violation is None else self.violation.as_dict(),
        }


@dataclass(frozen=True)
class Law(Generic[T]):
    """Something that holds of every good tokenizer, or of every pair of them."""

    name: str
    statement: str
    """What holds, as a sentence without a full stop."""
    needs: tuple[str, ...]
    """The attributes of the subject that must not be ``None``."""
    cases: Callable[[T], st.SearchStrategy[Any]]
    """What to try it on."""
    holds: Callable[[T, Any], None]
    """Raises ``FoundError`` for a case that breaks it."""
    make: Callable[..., T]
    """The subject of what a user hands over."""

    def __str__(self) -> str:
        """The name, for ``pytest.mark.parametrize(..., ids=str)``."""
        return self.name

    def check(
        self,
        *tokenizers: Any,
        examples: int = EXAMPLES,
        seed: int | None = 0,
        allow: tuple[str, ...] | list[str] = (),
    ) -> None:
        """Fail with the smallest case that breaks the law, explained in bytes.

        One tokenizer, or a target and a draft if it is a law of pairs: whatever :meth:`Subject.of` takes.
        ``seed``: the same one tries the same examples; ``None`` tries new ones. ``allow``: names of
        :data:`ALLOWANCES`.

        Raises:
            LawBrokenError: an ``AssertionError`` that explains what was found.
            LawSkippedError: the tokenizer does not offer what the law is about.
        """
        subject: Any = self.make(*tokenizers)
        verdict = self.judge(subject.allow(*allow) if allow else subject, examples=examples, seed=seed)
        if verdict.violation is not None:
            raise verdict.violation
        if verdict.reason is not None:
            raise LawSkippedError(f"{self.name} of {subject.name}: {verdict.reason}")

    def judge(
        self,
        subject: T,
        *,
        examples: int = EXAMPLES,
        seconds: float | None = None,
        seed: int | None = 0,
        report: Callable[[int], None] = lambda _: None,
    ) -> Verdict:
        """Try the law on a number of examples, or for some seconds, and shrink what breaks it.

        ``report`` is called before every attempt with the number of examples tried so far, and may raise.

        Raises:
            ArgumentError: not at least one example, or no time.
        """
        if examples < 1 or (seconds is not None and seconds <= 0):
            raise ArgumentError(f"got {examples} examples and {seconds} seconds; expected more than none")
        missing = [need for need in self.needs if getattr(subject, need) is None]
        if missing:
            reason = f"it needs {' and '.join(missing)}: {subject.lacks}"
            return Verdict(self.name, self.statement, "skipped", 0, 0.0, reason=reason)
        search = _Search(self, subject, report)
        broken = search.run(examples, seconds, seed)
        violation = None if broken is None else self._violation(subject, broken, steady=search.steady)
        outcome: Outcome = "passed" if broken is None else "failed"
        return Verdict(self.name, self.statement, outcome, search.tried, search.spent, violation)

    def _violation(self, subject: T, broken: FoundError, *, steady: bool) -> LawBrokenError:
        hints = [] if steady else ["It did not come again when the same was tried again."]
        hints += _known(subject, broken)
        return LawBrokenError(self.name, self.statement, subject.name, broken.finding, "\n".join(hints))


class _Search(Generic[T]):
    """One search: batches of examples until enough were tried or one breaks the law."""

    def __init__(self, law: Law[T], subject: T, report: Callable[[int], None]) -> None:
        self.law, self.subject, self.report = law, subject, report
        self.tried, self.steady, self.began = 0, True, time.perf_counter()
        self._last: FoundError | None = None

    def run(self, examples: int, seconds: float | None, seed: int | None) -> FoundError | None:
        batch = 0
        while self._last is None:
            many = _BATCH if seconds is not None else min(_BATCH, examples - batch * _BATCH)
            self._batch(many, None if seed is None else seed * _SEEDS + batch)
            batch += 1
            if batch * _BATCH >= examples if seconds is None else self.spent >= seconds:
                break
        return self._last

    @property
    def spent(self) -> float:
        """Seconds since the search began."""
        return time.perf_counter() - self.began

    def _batch(self, examples: int, seed: int | None) -> None:
        def attempt(case: Any) -> None:
            self.tried += self._last is None
            self.report(self.tried)
            try:
                self.law.holds(self.subject, case)
            except FoundError as broken:
                self._last = broken
                raise

        test: Any = given(self.law.cases(self.subject))(attempt)
        try:
            _settings(examples)(test if seed is None else with_seed(seed)(test))()
        except FoundError as smallest:
            self._last = smallest
        except Flaky:
            self.steady = False
            if self._last is None:
                raise


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


def _known(subject: Tested, broken: FoundError) -> list[str]:
    """Which allowances would have kept this text away."""
    given = broken.finding.given
    texts = [value for label in _TEXTS if isinstance(value := given.get(label), str)]
    return [
        f"Known of some tokenizers: {allowance.statement}. To leave it out, allow {name}."
        for name, allowance in ALLOWANCES.items()
        if any(kept_away(text, frozenset([name]), core) != text for text in texts for core in subject.cores)
    ]
