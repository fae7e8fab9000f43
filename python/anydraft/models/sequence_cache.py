"""What one sequence has read, as its model keeps it, and how that is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from anydraft.models.kv_cache import GrowingLayer, crop_keys, gather, gathers, new_cache
from anydraft.models.rollback import Way, rollback_of


class Pass(Protocol):
    """One pass of a model."""

    def __call__(self, ids: Tensor, start: int, cache: Any, keep: int) -> tuple[Tensor, Any]:
        """Read ``ids`` int64 ``[n]`` behind ``start`` tokens: the last logits ``[keep, V]``, the cache."""


class SequenceCache:
    """The cache of one sequence. A crop leaves the tokens asked for, or fewer where it is a state's copy.

    The rule of use is *feed what is not cached*: what a crop has forgotten beyond that is read again.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        way: Way,
        layer_of: Callable[[int | None], DynamicLayer] = GrowingLayer,
    ) -> None:
        """Empty; ``layer_of`` makes an attention layer of a window, or of ``None``."""
        self.cache: Any = None if way.own else new_cache(model, layer_of)
        """What the model is given: a cache of transformers, or whatever the model itself has made."""
        self.length = 0
        """Number of tokens."""
        self.settled = 0
        """So many tokens of the text will stay: a state is kept from where they end."""
        self._rollback = rollback_of(model, self.cache, way)

    @property
    def croppable(self) -> bool:
        """Whether all of it is keys and values."""
        return self._rollback is None

    def read(self, ids: Tensor, keep: int, run: Pass) -> Tensor:
        """Append ``ids`` int64 ``[n]``, n >= keep >= 1; the last ``keep`` logits ``[keep, V]``."""
        if self._rollback is None:
            logits, self.cache = run(ids, self.length, self.cache, keep)
            self.length += len(ids)
            return logits
        found = []
        for part in self._rollback.parts(self.length, len(ids), self.settled):
            if part.save:
                self._rollback.save(self.cache, self.length)
            left = len(ids) - part.tokens
            wanted = max(keep - left, 0)
            logits, self.cache = run(ids[: part.tokens], self.length, self.cache, max(wanted, 1))
            found.append(logits[len(logits) - wanted :])
            self.length += part.tokens
            ids, keep = ids[part.tokens :], keep - wanted
        self._rollback.trim(self.cache, max(self.length - self.settled, 0))
        return torch.cat(found)

    @property
    def gathers(self) -> bool:
        """Whether :meth:`prune` can be asked for."""
        return self.croppable and gathers(self.cache)

    def prune(self, length: int, path: Sequence[int]) -> None:
        """Keep the first ``length`` tokens, and of those after them the ``path``."""
        if list(path) != list(range(len(path))):  # else they lie where they belong
            gather(self.cache, length, path)
            self.length = length + len(path)
        else:
            self.crop(length + len(path))

    def crop(self, length: int) -> bool:
        """Forget all but the first ``length`` tokens, or more; ``False`` if only an empty cache is right."""
        if length >= self.length:
            return True
        if self._rollback is None:
            assert isinstance(self.cache, DynamicCache)
            crop_keys(self.cache, self.length - length)
            self.length = length
            return True
        found = self._rollback.back(self.cache, self.length, length)
        if found is not None:
            self.cache, self.length = found
        return found is not None
