"""What a round puts to the test for one sequence, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from anydraft.decoding.events import FinishReason, Source
from anydraft.errors import DraftError
from anydraft.proposers.base import Block, Strategy
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
    """The candidate paths of one sequence in a round: today one, or none. A tree will have several."""

    start: Start
    choice: Choice | None = None
    """How the block was to be drafted."""
    strategy: Strategy | None = None
    block: Block | None = None
    failure: str | None = None
    """Why the draft failed; it is dropped at the end of the round."""

    @property
    def paths(self) -> list[Tensor]:
        """int64 ``[k]`` each, on the target's device: candidates that follow the committed ids."""
        return [] if self.block is None else [self.block.candidates]

    def with_block(self, block: Block | DraftError) -> Proposal:
        """The same with what was drafted, or with why nothing was."""
        if isinstance(block, DraftError):
            return replace(self, failure=failed(block))
        return replace(self, block=block, failure=None if block.failure is None else failed(block.failure))


@dataclass(frozen=True)
class Verdict:
    """What a sequence emits in a round, and of what; all on the host."""

    drafted: list[int]
    """Draft ids."""
    proposed: list[int]
    """Candidates."""
    accepted: int
    """How many of them, from the first, held: more than were emitted where the decode ended among them."""
    token_ids: list[int]
    """What is emitted."""
    finish_reason: FinishReason | None
    failure: str | None
    """Why the draft is dropped, if it is."""

    @property
    def source(self) -> Source | None:
        """Where the last token comes from, if it was not drafted."""
        if len(self.token_ids) <= self.accepted:
            return None
        return "recovered" if self.accepted < len(self.proposed) else "bonus"


def failed(error: Exception) -> str:
    """The sentence for an event."""
    return f"the draft failed: {error}"
