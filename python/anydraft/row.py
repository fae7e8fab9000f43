"""One row of a decode: what is committed, what the draft is shown, and how a round ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

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

    def __call__(self, logits: Tensor, committed: Tensor, candidates: Tensor, /) -> Tensor:
        """Logits ``[k + 1, V]`` after ``committed`` and each candidate ``[k]``, to laws ``[k + 1, V]``."""


@runtime_checkable
class Closing(Protocol):
    """A model whose sequence takes part in a batch, and can leave it."""

    def close(self) -> None:
        """This sequence will not be advanced again."""


class Committed:
    """The committed ids: a tensor on one device that grows in place, so that appending costs what is new."""

    def __init__(self, ids: Sequence[int], device: torch.device) -> None:
        """Start with ``ids``, the prompt."""
        self._length = len(ids)
        self._store = torch.zeros(2 * len(ids) + 256, dtype=torch.int64, device=device)
        self._store[: len(ids)] = torch.tensor(ids, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        """Number of ids."""
        return self._length

    def first(self, length: int) -> Tensor:
        """int64 ``[length]``: a view, valid until more is appended."""
        return self._store[:length]

    @property
    def ids(self) -> Tensor:
        """int64 ``[n]``: all of them."""
        return self.first(self._length)

    def append(self, ids: list[int]) -> None:
        """Append host ids with one transfer."""
        end = self._length + len(ids)
        if end > len(self._store):
            self._store = torch.cat((self._store, torch.zeros_like(self._store)))
        self._store[self._length : end] = torch.tensor(ids, dtype=torch.int64, device=self._store.device)
        self._length = end

    def crop(self, length: int) -> None:
        """Keep the first ``length`` ids."""
        self._length = min(self._length, length)


@dataclass
class Row:
    """Everything one row needs, and its state. The committed ids are only ever appended to."""

    target: Model
    draft: DraftView | None
    strategy: Strategy
    session: Session
    law: TargetLaw
    randomness: Randomness
    stopping: Stopping
    gamma: int
    decode_bytes: Callable[[list[int]], bytes]
    prompt: list[int]
    stats: Stats = field(default_factory=Stats)
    emitted: int = 0
    finish_reason: FinishReason | None = None
    failure: str | None = None
    """Why the draft failed in this round."""

    def __post_init__(self) -> None:
        """A row that may emit nothing is finished before it begins."""
        self.committed = Committed(self.prompt, self.target.device)
        if self.stopping.left(0) <= 0:
            self.finish_reason = "length"

    @property
    def unfed(self) -> Tensor:
        """int64 ``[n]``, n >= 1: the committed ids that the target has not read; its cache is cut to fit."""
        if self.target.length >= len(self.committed):
            self.target.crop(len(self.committed) - 1)
        return self.committed.ids[self.target.length :]

    def begin(self) -> tuple[DraftContext, int] | None:
        """Open a block: what a strategy needs and the number of tokens; ``None`` if nothing is drafted."""
        limit = self.stopping.left(self.emitted) - 1
        if self.draft is None:
            return None
        gamma = min(self.gamma, limit, (self.draft.window or limit + 1) - 1)
        if gamma < 1:
            return None
        pending = self.draft.begin(gamma)
        if pending is None:
            return None
        context = DraftContext(
            model=self.draft,
            pending=pending,
            law=self.draft.law,
            speller=self.session,
            target_device=self.target.device,
            target_width=self.target.vocab_size,
            limit=limit,
        )
        return context, gamma

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
        laws = self.law(logits, self.committed.ids, candidates)
        following, drafted, proposed = none, none, none
        broken = laws[:, 0].isnan().any().view(1)
        if block is not None and self.draft is not None:
            try:
                following = self.strategy.verify(block, laws, self.randomness)
                drafted, proposed = block.draft_ids.to(laws.device), block.candidates
                broken = torch.cat((broken, self.draft.broken.to(laws.device).view(1)))
            except DraftError as error:
                self.failure = f"the draft failed: {error}"
        if len(following) == 0:  # the target alone, at the first place: no candidate was looked at
            following = torch.cat((following.new_zeros(1), self.randomness.draw(laws[:1])))
            broken = torch.cat((broken, torch.zeros_like(broken)))
        self._drafted = len(drafted)
        return torch.cat((following, broken, drafted, proposed))

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
            asked = self.stopping.ask(self.committed.first(before + i))
            if asked and (i < len(new) or reason is None):
                self.committed.crop(before + i)
                return new[:i], asked
        return new, reason

    def _count(self, event: Event, proposed: int, drafted: int) -> None:
        stats = self.stats
        stats.drafted += drafted
        stats.proposed += proposed
        stats.accepted += event.accepted
        stats.recovered += event.source == "recovered"
        stats.bonus += event.source == "bonus"
        stats.bytes += len(self.decode_bytes(event.token_ids))
        if self.draft:
            stats.draft_passes, stats.draft_seconds = self.draft.passes, self.draft.seconds
