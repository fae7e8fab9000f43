"""The decoding loop: draft a block, verify it in one target pass, commit, repeat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from anydraft.drafting.protocol import Block, DraftContext, Speller, Strategy
from anydraft.drafting.view import DraftView
from anydraft.errors import DraftError, ModelError
from anydraft.models.protocol import Model
from anydraft.sampling import Randomness
from anydraft.stats import Stats
from anydraft.stopping import Stopping
from anydraft.streaming import Event, FinishReason


class Session(Speller, Protocol):
    """One sequence of the Rust core: see ``anydraft._core.Session``."""

    def drafted(self, ids: list[int], /) -> None:
        """Say what the draft drew after its view."""

    def commit(self, ids: list[int], /) -> tuple[str, int, list[int]]:
        """Append target ids: the text that became complete, and the splice of the draft's view."""

    def finish(self) -> str:
        """The text of an unfinished code point at the very end."""


class TargetLaw(Protocol):
    """The target's law after all logits processors."""

    def __call__(self, logits: Tensor, committed: list[int], candidates: Tensor, /) -> Tensor:
        """Logits ``[k + 1, V]`` after ``committed`` and each candidate ``[k]``, to laws ``[k + 1, V]``."""


class Verdict(NamedTuple):
    """One round, as read back from the device."""

    accepted: int
    following: int
    """The id after the accepted candidates."""
    proposed: list[int]
    drafted: list[int]
    failure: str | None


@dataclass
class Decode:
    """Everything one decode needs; :meth:`run` is the loop."""

    target: Model
    draft: DraftView | None
    strategy: Strategy
    session: Session
    law: TargetLaw
    randomness: Randomness
    stopping: Stopping
    gamma: int
    decode_bytes: Callable[[list[int]], bytes]
    stats: Stats = field(default_factory=Stats)

    def run(self, prompt: list[int]) -> Iterator[Event]:
        """Emit events until :attr:`stopping` says so. The committed ids are only ever appended to."""
        committed, emitted = list(prompt), 0
        unfed = torch.tensor(prompt, dtype=torch.int64, device=self.target.device)
        reason: FinishReason | None = None if self.stopping.left(0) > 0 else "length"
        while reason is None:
            began = time.perf_counter()
            block, failure = self.propose(self.stopping.left(emitted) - 1)
            candidates = block.candidates if block else unfed[:0]
            laws = self.law(self.advance(unfed, candidates), committed, candidates)
            verdict = self.judge(block, laws)
            failure = failure or verdict.failure
            accepted, proposed = verdict.accepted, verdict.proposed
            new, reason = self.stopping.cut([*proposed[:accepted], verdict.following], emitted)
            committed += new
            emitted += len(new)
            self.target.crop(len(committed) - 1)
            unfed = torch.tensor(new[-1:], dtype=torch.int64, device=self.target.device)
            text, keep, append = self.session.commit(new)
            if self.draft and not failure:
                self.draft.drew(verdict.drafted)
                self.draft.splice(keep, append)
            event = Event(
                token_ids=new,
                text=text + self.session.finish() if reason else text,
                accepted=min(accepted, len(new)),
                source=None if len(new) <= accepted else "recovered" if accepted < len(proposed) else "bonus",
                finish_reason=reason,
                draft_failure=failure,
            )
            self.count(event, len(proposed), len(verdict.drafted))
            if failure:
                self.draft = None
            self.stats.seconds += time.perf_counter() - began
            yield event

    def propose(self, limit: int) -> tuple[Block | None, str | None]:
        """Draft a block of at most ``limit`` candidates, or nothing; a draft that raises is never fatal."""
        gamma = min(self.gamma, limit, limit if self.draft is None else (self.draft.window or limit + 1) - 1)
        if self.draft is None or gamma < 1:
            return None, None
        try:
            pending = self.draft.begin(gamma)
            if pending is None:
                return None, None
            context = DraftContext(
                model=self.draft,
                pending=pending,
                law=self.draft.law,
                speller=self.session,
                target_device=self.target.device,
                target_width=self.target.vocab_size,
                limit=limit,
            )
            return self.strategy.draft(context, gamma, self.randomness), None
        except Exception as error:
            return None, f"the draft failed: {type(error).__name__}: {error}"

    def advance(self, unfed: Tensor, candidates: Tensor) -> Tensor:
        """The one target pass of a round: logits ``[k + 1, V]``."""
        began = time.perf_counter()
        logits = self.target.advance(torch.cat((unfed, candidates)), len(candidates) + 1)
        self.stats.target_seconds += time.perf_counter() - began
        self.stats.target_passes += 1
        return logits

    def judge(self, block: Block | None, laws: Tensor) -> Verdict:
        """Verify on the device, then read everything back at once.

        Raises:
            ModelError: the target's own logits are NaN.
        """
        following = drafted = proposed = torch.empty(0, dtype=torch.int64, device=laws.device)
        broken = laws[:, 0].isnan().any().view(1)
        failure = None
        if block is not None and self.draft is not None:
            try:
                following = self.strategy.verify(block, laws, self.randomness)
                drafted, proposed = block.draft_ids.to(laws.device), block.candidates
                broken = torch.cat((broken, self.draft.broken.to(laws.device).view(1)))
            except DraftError as error:
                failure = f"the draft failed: {error}"
        if len(following) == 0:  # the target alone, at the first place: no candidate was looked at
            following = torch.cat((following.new_zeros(1), self.randomness.draw(laws[:1])))
            broken = torch.cat((broken, torch.zeros_like(broken)))
        packed: list[int] = torch.cat((following, broken, drafted, proposed)).tolist()
        accepted, token, target_broken, draft_broken, *ids = packed
        if target_broken:
            raise ModelError(
                "the target returned NaN logits; expected numbers. Half precision may overflow: try "
                "dtype=torch.float32 or torch.bfloat16, or look for damaged weights"
            )
        split = len(drafted)
        self.session.drafted(ids[:split])
        if draft_broken:
            failure = "the draft returned NaN"
        return Verdict(accepted, token, ids[split:], ids[:split], failure)

    def count(self, event: Event, proposed: int, drafted: int) -> None:
        """Add one round to the statistics."""
        stats = self.stats
        stats.drafted += drafted
        stats.proposed += proposed
        stats.accepted += event.accepted
        stats.recovered += event.source == "recovered"
        stats.bonus += event.source == "bonus"
        stats.bytes += len(self.decode_bytes(event.token_ids))
        if self.draft:
            stats.draft_passes, stats.draft_seconds = self.draft.passes, self.draft.seconds
