"""One row of a decode: what is committed, what the draft is shown, and how a round ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from anydraft.committed import Committed
from anydraft.drafting.ending import Ending
from anydraft.drafting.protocol import Block, DraftContext, Speller, Strategy
from anydraft.drafting.recall import Recall
from anydraft.drafting.view import DraftView
from anydraft.errors import DraftError, ModelError
from anydraft.mixture import LOOKUP, Choice, Director
from anydraft.models.protocol import Model
from anydraft.rounds import Round
from anydraft.sampling import NAN, Greedy, Randomness, best_of
from anydraft.stats import Stats
from anydraft.stopping import Stopping
from anydraft.streaming import Event, FinishReason
from anydraft.verification import verify_greedy


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

    def __call__(self, logits: Tensor, committed: Tensor, candidates: Tensor, /) -> Tensor:
        """Logits ``[k + 1, V]`` after ``committed`` and each candidate ``[k]``, to laws ``[k + 1, V]``."""


@runtime_checkable
class PointedLaw(TargetLaw, Protocol):
    """A law that can tell its likeliest tokens without making itself."""

    def best(self, logits: Tensor, committed: Tensor, candidates: Tensor, /) -> Tensor:
        """Shapes as for a call; result int64 ``[k + 1]``, :data:`NAN` where a logit is NaN."""


@runtime_checkable
class Closing(Protocol):
    """A model whose sequence takes part in a batch, and can leave it."""

    def close(self) -> None:
        """This sequence will not be advanced again."""


class _Pace(NamedTuple):
    """Where a round begins."""

    fed: int
    """Ids that the target has not read."""
    backlog: int
    draft_seconds: float
    target_seconds: float


@dataclass
class Row:
    """Everything one row needs, and its state. The committed ids are only ever appended to."""

    target: Model
    draft: DraftView | None
    strategies: Callable[[str], Strategy]
    """From a method's name to its strategy."""
    director: Director
    """Says how each block is drafted."""
    session: Session
    law: TargetLaw
    randomness: Randomness
    stopping: Stopping
    decode_bytes: Callable[[list[int]], bytes]
    prompt: list[int]
    recall: Recall | None = None
    """The text so far, if it may be looked up in."""
    stats: Stats = field(default_factory=Stats)
    emitted: int = 0
    finish_reason: FinishReason | None = None
    failure: str | None = None
    """Why the draft failed in this round."""
    method: str = "none"
    """What the latest block was drafted with."""

    def __post_init__(self) -> None:
        """A row that may emit nothing is finished before it begins."""
        self.committed = Committed(self.prompt, self.target.device)
        law = self.law
        self._best = law.best if isinstance(law, PointedLaw) else lambda *given: best_of(law(*given))
        self.choice: Choice | None = None
        self.ending: Ending | None = None
        self._begun = self._pace()
        self._seen: Round | None = None
        if self.stopping.left(0) <= 0:
            self.finish_reason = "length"

    @property
    def unfed(self) -> Tensor:
        """int64 ``[n]``, n >= 1: the committed ids that the target has not read; its cache is cut to fit."""
        if self.target.length >= len(self.committed):
            self.target.crop(len(self.committed) - 1)
        return self.committed.ids[self.target.length :]

    @property
    def strategy(self) -> Strategy | None:
        """What drafts this round's block; ``None``: nothing does."""
        return self.strategies(self.choice.method) if self.choice else None

    def begin(self) -> tuple[Strategy, DraftContext, int] | None:
        """Open a block: a strategy, what it needs, the number of tokens; ``None`` if nothing is drafted."""
        self.choice, self.ending, self._begun = None, None, self._pace()
        limit = self.stopping.left(self.emitted) - 1
        match = self.recall.find() if self.recall is not None else None
        backlog = self._begun.backlog if self.draft else None
        choice = self.director.choose(limit, backlog, match.length if match else 0)
        if choice is None:
            return None
        if choice.method == LOOKUP:
            gamma, pending = min(choice.length, limit), self.committed.first(0)
        else:
            if self.draft is None:
                return None
            gamma = min(choice.length, limit, (self.draft.window or limit + 1) - 1)
            shown = self.draft.begin(gamma) if gamma > 0 else None
            if shown is None:
                return None
            pending = shown
            stop = self.director.stop(choice) if self.draft.device.type == "cpu" else None
            self.ending = Ending(stop) if stop else None
        if gamma < 1:
            return None
        self.choice = choice._replace(length=gamma)
        self.method = choice.method
        context = DraftContext(
            model=self.draft or self.target,
            pending=pending,
            law=self.draft.law if self.draft else _as_it_is,
            speller=self.session,
            target_device=self.target.device,
            target_width=self.target.vocab_size,
            limit=limit,
            ending=self.ending,
            recall=self.recall,
        )
        return self.strategies(choice.method), context, gamma

    def _pace(self) -> _Pace:
        """What the times of this round are counted from."""
        draft = self.draft
        return _Pace(
            fed=len(self.committed) - min(self.target.length, len(self.committed) - 1),
            backlog=draft.backlog if draft else 0,
            draft_seconds=draft.seconds if draft else 0.0,
            target_seconds=self.stats.target_seconds,
        )

    def took(self, seconds: float) -> None:
        """Note the time of the round that was settled."""
        self.stats.seconds += seconds
        if self._seen is None:
            return
        draft = (self.draft.seconds if self.draft else 0.0) - self._begun.draft_seconds
        target = self.stats.target_seconds - self._begun.target_seconds
        if self.target.device.type != "cpu":  # passes are only issued there; the time is spent waiting
            target = seconds - draft
        seen = replace(self._seen, draft_seconds=draft, target_seconds=target, seconds=seconds)
        self.director.observe(self.choice, seen)

    def fail(self, error: Exception) -> None:
        """Note that the draft failed; it is dropped at the end of the round."""
        self.failure = f"the draft failed: {type(error).__name__}: {error}"

    def close(self) -> None:
        """Give back what a finished row no longer needs, where its models can share it."""
        for model in (self.target, self.draft.model if self.draft else None):
            if isinstance(model, Closing):
                model.close()

    def judge(self, block: Block | None, logits: Tensor) -> Tensor:
        """Verify on the device, with the target's ``logits`` ``[k + 1, V]``; :meth:`settle` reads the answer.

        Result: int64 ``[4 + ...]``: accepted, next id, target broken, draft broken, drafted ids, candidates.
        """
        none = torch.empty(0, dtype=torch.int64, device=logits.device)
        candidates = block.candidates if block else none
        drafted, proposed, spoilt = none, none, torch.zeros(1, dtype=torch.bool, device=logits.device)
        if block is not None:
            drafted, proposed = block.draft_ids.to(logits.device), block.candidates
            if len(drafted) and self.draft:
                spoilt = self.draft.broken.to(logits.device).view(1)
        if isinstance(self.randomness, Greedy):
            best = self._best(logits, self.committed.ids, candidates)
            following, broken = verify_greedy(best, candidates), (best == NAN).any().view(1)
        else:
            laws = self.law(logits, self.committed.ids, candidates)
            broken = laws[:, 0].isnan().any().view(1)
            found = self._verified(block, laws)
            if found is None:  # the target alone, at the first place: no candidate is looked at
                drafted, proposed, spoilt = none, none, torch.zeros_like(broken)
                found = torch.cat((none.new_zeros(1), self.randomness.draw(laws[:1])))
            following = found
        self._drafted = len(drafted)
        return torch.cat((following, broken, spoilt, drafted, proposed))

    def _verified(self, block: Block | None, laws: Tensor) -> Tensor | None:
        """What the strategy says of a block; ``None`` without one, or if the draft fails meanwhile."""
        strategy = self.strategy
        if block is None or strategy is None:
            return None
        try:
            return strategy.verify(block, laws, self.randomness)
        except DraftError as error:
            self.failure = f"the draft failed: {error}"
            return None

    def settle(self, answer: list[int]) -> Event:
        """Commit what a round brought, and report it.

        Raises:
            ModelError: the target's own logits are NaN.
        """
        accepted, following, target_broken, draft_broken, *ids = answer
        if target_broken:
            raise ModelError(
                "the target returned NaN logits; expected numbers. Half precision may overflow: try "
                "dtype=torch.float32 or torch.bfloat16, or look for damaged weights"
            )
        drafted, proposed = ids[: self._drafted], ids[self._drafted :]
        self.session.drafted(drafted)
        if draft_broken:
            self.failure = "the draft returned NaN"
        new, reason = self._stop([*proposed[:accepted], following])
        self.emitted += len(new)
        self.finish_reason = reason
        self.target.crop(len(self.committed) - 1)
        text, keep, append = self.session.commit(new)
        if self.draft and not self.failure:
            self.draft.drew(drafted)
            self.draft.splice(keep, append)
        if self.recall is not None:
            self.recall.push(self.decode_bytes(new))
        self._seen = self._round(len(drafted), len(proposed), accepted, len(new))
        event = Event(
            token_ids=new,
            text=text + self.session.finish() if reason else text,
            accepted=min(accepted, len(new)),
            source=None if len(new) <= accepted else "recovered" if accepted < len(proposed) else "bonus",
            finish_reason=reason,
            draft_failure=self.failure,
        )
        self._count(event, len(proposed), len(drafted))
        if self.failure:
            self.draft, self.failure = None, None
        return event

    def follow(self, block: Block | None, logits: Tensor, event: Event) -> None:
        """Commit what another process that runs the same decode has decided."""
        candidates = block.candidates if block else self.committed.ids[:0]
        self.law(logits, self.committed.ids, candidates)  # a law may keep what it is made from
        self.committed.append(event.token_ids)
        self.emitted += len(event.token_ids)
        self.finish_reason = event.finish_reason
        self.target.crop(len(self.committed) - 1)
        self.session.commit(event.token_ids)
        self._count(event, len(candidates), 0)

    def _stop(self, new: list[int]) -> tuple[list[int], FinishReason | None]:
        """Append what plain decoding would emit of ``new``, and say why it ends there if it does."""
        before = len(self.committed)
        new, reason = self.stopping.cut(new, self.emitted)
        self.committed.append(new)
        for i in range(1, len(new) + 1 if self.stopping.rules else 0):
            asked = self.stopping.ask(self.committed.prefix(before + i))
            if asked and (i < len(new) or reason is None):
                self.committed.crop(before + i)
                return new[:i], asked
        return new, reason

    def _round(self, drafted: int, proposed: int, accepted: int, emitted: int) -> Round | None:
        """What the director is told, without the times; ``None`` of a round that failed."""
        if self.failure:
            return None
        looked_up = self.choice is not None and self.choice.method == LOOKUP
        return Round(
            asked=self.choice.length if self.choice else 0,
            drafted=proposed if looked_up else drafted,
            proposed=proposed,
            accepted=accepted,
            emitted=emitted,
            fed=self._begun.fed + proposed,
            backlog=1 if looked_up else self._begun.backlog,
            draft_seconds=0.0,
            target_seconds=0.0,
            seconds=0.0,
            peaks=self.ending.peaks if self.ending else (),
        )

    def _count(self, event: Event, proposed: int, drafted: int) -> None:
        stats = self.stats
        stats.drafted += drafted
        stats.proposed += proposed
        stats.accepted += event.accepted
        stats.looked_up += event.accepted if self.choice and self.choice.method == LOOKUP else 0
        stats.recovered += event.source == "recovered"
        stats.bonus += event.source == "bonus"
        stats.bytes += len(self.decode_bytes(event.token_ids))
        if self.draft:
            stats.draft_passes, stats.draft_seconds = self.draft.passes, self.draft.seconds


def _as_it_is(logits: Tensor) -> Tensor:
    return logits
