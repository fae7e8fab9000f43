"""The key-value cache of several sequences of different lengths, for one pass over all of them.

Every sequence has its own keys at their own positions, from the front of its own row of the store. The new
tokens of a pass are aligned at their ends; what stands before a shorter one is filler, whose keys go to
a last slot that no token looks at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

_SPARE = 256
"""Least spare room of a store, in tokens; a longer one has a quarter of its length."""


class Layout:
    """Where the tokens of the coming pass stand, for all layers and masks."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is cached."""
        self._device = device
        self.capacity = 0
        self.starts: list[int] = []
        self.end = 0
        """Longest sequence after the pass."""
        self.positions = torch.empty(0)
        """int64 ``[B, n]``: the position of every new token; 0 for filler."""
        self.places = torch.empty(0)
        """int64 ``[B, n]``: where its key goes."""

    def plan(self, starts: Sequence[int], counts: Sequence[int]) -> None:
        """Sequence ``b`` has ``starts[b]`` tokens and gets ``counts[b]`` more (0: it sits this pass out)."""
        self.starts = list(starts)
        self.end = max(start + count for start, count in zip(starts, counts, strict=True))
        if self.end >= self.capacity:
            self.capacity = self.end + max(_SPARE, self.end // 4)
        n = max(counts)
        first = torch.tensor([starts, counts], dtype=torch.int64).to(self._device, non_blocking=True)
        place = torch.arange(n, device=self._device) - (n - first[1])[:, None]
        self.positions = (place + first[0][:, None]).where(place >= 0, 0)
        self.places = self.positions.where(place >= 0, self.capacity - 1)

    def first(self, window: int | None) -> int:
        """The first position in reach of any new token."""
        return 0 if window is None else max(0, min(self.starts) - window + 1)

    def mask(self, window: int | None) -> Tensor:
        """bool ``[B, 1, n, keys]``: which of the keys of :meth:`RaggedLayer.update` a token sees."""
        keys = torch.arange(self.first(window), self.end, device=self._device)
        query = self.positions[:, None, :, None]
        seen = keys <= query
        return seen if window is None else seen & (keys > query - window)


class RaggedLayer(DynamicLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """Keys and values of one layer: stores ``[B, heads, capacity, head size]``, all numbers finite."""

    keys: Any
    values: Any

    def __init__(self, layout: Layout, window: int | None) -> None:
        """Start empty; ``window`` is in tokens and counts the token that looks."""
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._layout = layout
        self.window = window
        self.is_sliding = window is not None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Put ``[B, heads, n, head size]`` keys and values in place; return all that may be looked at."""
        layout = self._layout
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.keys, self.values = (_room(states, layout.capacity) for states in (key_states, value_states))
            self.is_initialized = True
        elif self.keys.shape[-2] < layout.capacity:
            self.keys, self.values = (_moved(old, layout.capacity) for old in (self.keys, self.values))
        places = layout.places.to(key_states.device)[:, None, :, None]
        self.keys.scatter_(2, places.expand_as(key_states), key_states)
        self.values.scatter_(2, places.expand_as(value_states), value_states)
        first = layout.first(self.window)
        reach = layout.end - first
        return self.keys.narrow(2, first, reach), self.values.narrow(2, first, reach)

    def retain(self, rows: Tensor) -> None:
        """Keep only these sequences."""
        if self.is_initialized:
            rows = rows.to(self.device)
            self.keys, self.values = _only(self.keys, rows), _only(self.values, rows)

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Longest sequence before the coming pass; positions are given to the model, so none rests on it."""
        return max(self._layout.starts, default=0)

    def get_mask_sizes(self, *_: Any, **__: Any) -> tuple[int, int]:
        """Number of keys that the next :meth:`update` returns, and how many it leaves out before them."""
        first = self._layout.first(self.window)
        return self._layout.end - first, first


def _room(like: Tensor, capacity: int) -> Tensor:
    rows, heads, _, size = like.shape
    return like.new_zeros((rows, heads, capacity, size))


def _only(store: Any, rows: Tensor) -> Tensor:
    kept: Tensor = store.index_select(0, rows)
    return kept


def _moved(old: Any, capacity: int) -> Tensor:
    """A larger store; the old last slot, which holds filler, becomes an ordinary place."""
    store = _room(old, capacity)
    store.narrow(2, 0, old.shape[-2]).copy_(old)
    return store
