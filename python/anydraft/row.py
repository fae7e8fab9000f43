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
from anydraft.drafting.text_alone import TextAlone
from anydraft.drafting.view import DraftView
from anydraft.errors import DraftError, ModelError, TokenizerError
from anydraft.in_order import InOrder, RowInOrder
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
    law: TargetLaw | RowInOrder
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
        if not isinstance(law, RowInOrder):
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
    def order(self) -> InOrder | None:
        """The processors that must be called in order, if the law is made by such."""
        return self.law.order if isinstance(self.law, RowInOrder) else None

    @property
    def place(self) -> int:
        """The row's number among those that share :attr:`order`."""
        assert isinstance(self.law, RowInOrder)
        return self.law.place

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
        self.failure = f"the draft failed: {error}"

    def close(self) -> None:
        """Give back what a finished row no longer needs, where its models can share it."""
        for model in (self.target, self.draft.model if self.draft else None):
            if isinstance(model, Closing):
                model.close()

    def judge(self, block: Block | None, logits: Tensor) -> Tensor:
        """Verify on the device, with the target's ``logits`` ``[k + 1, V]``; :meth:`settle` reads the answer.

        Result: int64 ``[4 + ...]``: accepted, next id, target broken, then :meth:`drew`.
        """
        none = torch.empty(0, dtype=torch.int64, device=logits.device)
        candidates = block.candidates if block else none
        strategy, law = self.strategy, self.law
        assert not isinstance(law, RowInOrder)  # those are walked
        if isinstance(self.randomness, Greedy):
            best = self._best(logits, self.committed.ids, candidates)
            following = verify_greedy(best, candidates)
            broken = following[1:] == NAN
        else:
            laws = law(logits, self.committed.ids, candidates)
            if block is None or strategy is None:
                following = torch.cat((none.new_zeros(1), self.randomness.draw(laws[:1])))
            else:
                following = strategy.verify(block, laws, self.randomness)
            broken = laws[:, 0].isnan().index_select(0, following[:1])  # rows behind that were never reached
        return torch.cat((following, broken, self.drew(block, logits.device)))

    def drew(self, block: Block | None, device: torch.device) -> Tensor:
        """int64 ``[1 + ...]``: draft broken, drafted ids, candidates; :meth:`drawn` reads them."""
        if block is None:
            self._drafted = 0
            return torch.zeros(1, dtype=torch.int64, device=device)
        self._drafted = len(block.draft_ids)
        spoilt = torch.zeros(1, dtype=torch.int64, device=device)
        if self._drafted and self.draft:
            spoilt = self.draft.broken.to(device).view(1)
        return torch.cat((spoilt, block.draft_ids.to(device), block.candidates))

    def drawn(self, answer: list[int]) -> tuple[list[int], list[int]]:
        """The host's copy of :meth:`drew`: drafted ids and candidates."""
        broken, *ids = answer
        if broken:
            self.failure = "the draft returned NaN"
        return ids[: self._drafted], ids[self._drafted :]

    def settle(self, answer: list[int]) -> Event:
        """Commit what :meth:`judge` found, and report it."""
        accepted, following, broken, *rest = answer
        if broken:
            raise target_is_nan()
        drafted, proposed = self.drawn(rest)
        # Rejected tokens leave the cache before anything of the user's is called, which may raise.
        self.target.crop(len(self.committed) + accepted)
        new, reason = self.take([*proposed[:accepted], following])
        return self.close_round(drafted, proposed, accepted, new, reason)

    def close_round(
        self,
        drafted: list[int],
        proposed: list[int],
        accepted: int,
        new: list[int],
        reason: FinishReason | None,
    ) -> Event:
        """Bring caches, session and statistics up to ``new``, which is committed, and report it."""
        self.session.drafted(drafted)
        self.finish_reason = reason
        self.target.crop(len(self.committed) - 1)
        text, keep, append = self._commit(new)
        if self.draft and not self.failure:
            self._show(drafted, keep, append)
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

    def _commit(self, new: list[int]) -> tuple[str, int, list[int]]:
        """Have the session commit; only the draft's tokenizer can fail in that, and takes the draft along."""
        try:
            return self.session.commit(new)
        except TokenizerError as error:
            self.fail(error)
            before = self.committed.ids[: len(self.committed) - len(new)].tolist()
            self.session = TextAlone(before, self.decode_bytes)
            return self.session.commit(new)

    def _show(self, drafted: list[int], keep: int, append: list[int]) -> None:
        """Bring the draft's view up to date."""
        assert self.draft is not None
        self.draft.drew(drafted)
        try:
            self.draft.splice(keep, append)
        except DraftError as error:
            self.fail(error)

    def follow(self, block: Block | None, logits: Tensor, event: Event) -> None:
        """Commit what another process that runs the same decode has decided."""
        candidates = block.candidates if block else self.committed.ids[:0]
        if not isinstance(self.law, RowInOrder):
            self.law(logits, self.committed.ids, candidates)  # a law may keep what it is made from
        self.committed.append(event.token_ids)
        self.emitted += len(event.token_ids)
        self.finish_reason = event.finish_reason
        self.target.crop(len(self.committed) - 1)
        self._commit(event.token_ids)
        self._count(event, len(candidates), 0)

    def take(self, new: list[int]) -> tuple[list[int], FinishReason | None]:
        """Commit what plain decoding would emit of ``new``, and say why it ends there if it does."""
        before = len(self.committed)
        new, reason = self.stopping.cut(new, self.emitted)
        self.committed.append(new)
        for i in range(1, len(new) + 1 if self.stopping.rules else 0):
            asked = self.stopping.ask(self.committed.prefix(before + i))
            if asked and (i < len(new) or reason is None):
                self.committed.crop(before + i)
                new, reason = new[:i], asked
                break
        self.emitted += len(new)
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


def target_is_nan() -> ModelError:
    """What is raised when the target's own answer is no law."""
    return ModelError(
        "the target returned NaN logits; expected numbers. Half precision may overflow: try "
        "dtype=torch.float32 or torch.bfloat16, or look for damaged weights"
    )


def _as_it_is(logits: Tensor) -> Tensor:
    return logits
