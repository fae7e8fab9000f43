"""What a round puts to the test for one sequence, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from anydraft.decoding.events import FinishReason, Source
from anydraft.errors import DraftError
from anydraft.proposers.base import Block, Branches, Strategy
from anydraft.scheduling.directors import Choice


class Start(NamedTuple):
    """Where a round begins: what its counts and times are taken from."""

    unread: int
    """Ids that the target has not read."""
    backlog: int
    """Ids that the draft has not read."""
    draft_seconds: float
    target_seconds: float


@dataclass(frozen=True)
class Proposal:
    """What is to be verified of one sequence in a round: a line of candidates, a tree of them, or nothing."""

    start: Start
    choice: Choice | None = None
    """How the block was to be drafted."""
    strategy: Strategy | None = None
    block: Block | None = None
    failure: str | None = None
    """Why the draft failed; it is dropped at the end of the round."""

    @property
    def branches(self) -> Branches | None:
        """What is verified beside the line."""
        return None if self.block is None else self.block.branches

    @property
    def parents(self) -> list[int]:
        """Of each candidate, which place is before it; see :attr:`Branches.parents`."""
        beside = [] if self.branches is None else self.branches.parents
        return [*range(self.size), *beside]

    @property
    def size(self) -> int:
        """Number of candidates of the line."""
        return 0 if self.block is None else len(self.block.candidates)

    def beside(self, verdict: Verdict) -> tuple[int, float]:
        """Of the candidates beside the line how many held, and how many were expected to."""
        if self.branches is None or verdict.walked is None:
            return 0, 0.0
        return sum(place >= self.size for place in verdict.walked.path), self.branches.expected

    def with_block(self, block: Block | DraftError) -> Proposal:
        """The same with what was drafted, or with why nothing was."""
        if isinstance(block, DraftError):
            return replace(self, failure=failed(block))
        return replace(self, block=block, failure=None if block.failure is None else failed(block.failure))


class Walked(NamedTuple):
    """What held of a tree."""

    path: list[int]
    """The candidates by number, one after the other."""
    whole: bool
    """Whether nothing stood behind the last of them."""
    longest: int
    """The length of the longest path."""


@dataclass(frozen=True)
class Verdict:
    """What a sequence emits in a round, and of what; all on the host."""

    drafted: list[int]
    """Draft ids."""
    proposed: list[int]
    """Candidates."""
    accepted: int
    """How many held, one after the other: more than were emitted where the decode ended among them."""
    token_ids: list[int]
    """What is emitted."""
    finish_reason: FinishReason | None
    failure: str | None
    """Why the draft is dropped, if it is."""
    walked: Walked | None = None
    """What held of a tree."""
    judged: int | None = None
    """How many candidates were looked at, where others ended the walk; else see :attr:`Round.judged`."""

    @property
    def longest(self) -> int:
        """How many candidates could have held."""
        return len(self.proposed) if self.walked is None else self.walked.longest

    @property
    def places(self) -> list[int]:
        """In which rows of the pass's logits the law of each emitted token is."""
        count = len(self.token_ids)
        return list(range(count)) if self.walked is None else [0, *(i + 1 for i in self.walked.path)][:count]

    @property
    def source(self) -> Source | None:
        """Where the last token comes from, if it was not drafted."""
        if len(self.token_ids) <= self.accepted:
            return None
        whole = self.accepted == len(self.proposed) if self.walked is None else self.walked.whole
        return "bonus" if whole else "recovered"


def failed(error: Exception) -> str:
    """The sentence for an event."""
    return f"the draft failed: {error}"
