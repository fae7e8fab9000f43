"""The draft's side of a decode: its view of the text, its cache, and the law it draws from."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from anydraft.bridge.common import common_prefix
from anydraft.errors import DraftError
from anydraft.models.ahead import ahead_by
from anydraft.models.base import Model
from anydraft.models.joint import Batch, Joint
from anydraft.sampling.laws import to_law

_SEAM = 2
"""So many of the last ids of a view may be spelled anew together with what follows."""


@runtime_checkable
class Scoring(Protocol):
    """A law that is made of scores: the more likely a token, the higher."""

    def __call__(self, logits: Tensor, /) -> Tensor:
        """Logits ``[V]`` to the law ``[V]``."""

    def scores(self, logits: Tensor, /) -> Tensor:
        """Logits ``[V]`` to scores ``[V]``."""


def of_the_draft(error: Exception) -> DraftError:
    """Whatever the draft's model raises, which is the user's, as one error."""
    return DraftError(f"{type(error).__name__}: {error}")


class DraftState:
    """The ids that the draft is shown, kept in step with its cache by splices.

    A view longer than the draft's window is shown from a later token on; the start moves in steps of half a
    window, so that the cache is rebuilt rarely.
    """

    def __init__(self, model: Model, ids: list[int], law: Callable[[Tensor], Tensor]) -> None:
        """``ids``: the draft's rendering of the prompt. ``law``: logits ``[V]`` to processed law ``[V]``."""
        self.model = model
        self.vocab_size, self.window, self.device = model.vocab_size, model.window, model.device
        self.masks = ahead_by(model)
        """See :class:`~anydraft.models.base.LookingAhead`."""
        self.ids = ids
        self._law = law
        self._start = 0
        self._failure: DraftError | None = None
        """Why the cache could not be brought to this text: whoever drafts or commits is told."""
        self._seen: list[Tensor] = []
        """Of every law since :meth:`begin` a number that is NaN if the law is."""
        self.passes = 0
        self.seconds = 0.0

    @property
    def length(self) -> int:
        """Number of cached tokens."""
        return self.model.length

    @property
    def backlog(self) -> int:
        """Number of ids to be read before the next draw."""
        return max(1, len(self.ids) - self._start - self.model.length)

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """One counted and timed pass of the draft; see :class:`Model`."""
        began = time.perf_counter()
        logits = self.model.advance(ids, keep)
        self.seconds += time.perf_counter() - began
        self.passes += 1
        return logits

    @property
    def batch(self) -> Batch | None:
        """The batch that the draft's sequence is one of, if any."""
        return self.model.batch if isinstance(self.model, Joint) else None

    @property
    def row(self) -> int:
        """Its number there."""
        return self.model.row if isinstance(self.model, Joint) else 0

    def passed(self, seconds: float) -> None:
        """Count and time a joint pass."""
        self.seconds += seconds
        self.passes += 1

    def crop(self, length: int) -> None:
        """See :class:`Model`.

        Raises:
            DraftError: the draft's model failed.
        """
        try:
            self.model.crop(length)
        except Exception as error:
            raise of_the_draft(error) from error

    def settle(self, length: int) -> None:
        """See :class:`Model`.

        Raises:
            DraftError: the draft's model failed.
        """
        try:
            self.model.settle(length)
        except Exception as error:
            raise of_the_draft(error) from error

    @property
    def broken(self) -> Tensor:
        """0-d bool on the draft's device: whether any law since :meth:`begin` was NaN."""
        if not self._seen:
            return torch.zeros((), dtype=torch.bool, device=self.device)
        return torch.stack(self._seen).isnan().any()

    def law(self, logits: Tensor) -> Tensor:
        """The processed law of logits ``[V]``, which also notes whether it is broken."""
        law = self._law(logits)
        self._seen.append(law[0])
        return law

    def likely(self, logits: Tensor) -> Tensor:
        """By what guesses are ranked: the law of logits ``[V]``, at temperature 0 that of its scores."""
        if not isinstance(self._law, Scoring):
            return self.law(logits)
        law = to_law(self._law.scores(logits))
        self._seen.append(law[0])
        return law

    @property
    def best(self) -> Callable[[Tensor], Tensor] | None:
        """What gives the likeliest token of logits ``[V]`` without the law, if the law is of such a kind."""
        if not isinstance(self._law, Scoring):
            return None
        scoring = self._law

        def best(logits: Tensor) -> Tensor:
            value, index = scoring.scores(logits).max(-1)
            self._seen.append(value)
            return index

        return best

    def begin(self, gamma: int) -> Tensor | None:
        """Make room for ``gamma`` tokens; return the uncached ids ``[n]``, n >= 1.

        ``None`` if the view is empty: there is nothing to draft from.

        Raises:
            DraftError: the draft's model failed, now or in :meth:`renew`.
        """
        self._check()
        self._seen = []
        if not self.ids:
            return None
        if self.window is not None and len(self.ids) - self._start + gamma > self.window:
            room = max(1, min(self.window // 2, self.window - gamma))
            self.crop(0)  # first: an interrupt between the two lines must leave a cache of these ids
            self._start = len(self.ids) - min(room, len(self.ids))
        shown = len(self.ids) - self._start
        if self.model.length >= shown:
            self.crop(shown - 1)
        self.settle(max(shown - _SEAM, 0))
        unfed = self.ids[self._start + self.model.length :]
        return torch.tensor(unfed, dtype=torch.int64, device=self.device)

    def renew(self, ids: list[int], law: Callable[[Tensor], Tensor]) -> None:
        """Show another text by another law; what the cache has in common with it is kept.

        A draft that fails here ends nothing: the first round says why, and goes on without it.
        """
        self._failure = None
        self._law = law
        self.passes, self.seconds = 0, 0.0
        keep = common_prefix(self.ids, ids)
        try:
            self.splice(keep, ids[keep:])
        except DraftError as error:
            self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def drew(self, ids: list[int]) -> None:
        """Note the tokens that were drawn after the view; those of the last pass are not cached."""
        self.ids.extend(ids)

    def splice(self, keep: int, append: list[int]) -> None:
        """Keep the first ``keep`` ids and their cache, then show ``append``.

        Raises:
            DraftError: the draft's model failed, now or in :meth:`renew`.
        """
        self._check()
        self.crop(max(keep - self._start, 0))
        if keep <= self._start:
            self._start = 0
        del self.ids[keep:]
        self.ids.extend(append)
