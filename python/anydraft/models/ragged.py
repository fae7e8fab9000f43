"""The key-value cache of several sequences of different lengths, for one pass over all of them.

Every sequence has its own keys at their own positions, from the front of its own row of the store. The new
tokens of a pass are aligned at their ends; what stands before a shorter one is filler, whose keys go to
a last slot that no token looks at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from anydraft.models.joint import NO_TREES
from anydraft.models.kv_cache import roomy
from anydraft.models.trees import TreeLayout

_PASS = 8
"""What a pass costs by itself, in tokens: a sequence with many new ones may better run alone."""


def better_alone(counts: Mapping[int, int], slots: int) -> list[int]:
    """Which rows to run alone, so that the number of tokens computed, filler included, is smallest.

    ``counts``: of each row, its new tokens; ``slots``: how many rows a joint pass has.
    """
    largest = sorted(counts, key=counts.__getitem__, reverse=True)
    sizes = [counts[row] for row in largest]
    costs = [
        sum(sizes[:peeled]) + _PASS * peeled + (slots * sizes[peeled] + _PASS if left else 0)
        for peeled in range(len(sizes) + 1)
        for left in [len(sizes) - peeled]
    ]
    return largest[: costs.index(min(costs))]


class Layout:
    """Where the tokens of the coming pass stand, for all layers and masks."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is cached."""
        self._device = device
        self.slots = 0
        """Number of rows that the stores must have."""
        self.capacity = 0
        """Number of tokens that they must have, the last one for filler."""
        self.slot = 0
        """The first slot of the pass; those after it follow, one for each of :attr:`starts`."""
        self.starts: list[int] = []
        self.end = 0
        """Longest sequence after the pass."""
        self._lined = torch.empty(0)
        self.positions = torch.empty(0)
        """int64 ``[B, n]``: the position of every new token; 0 for filler."""
        self.places = torch.empty(0)
        """int64 ``[B, n]``: where its key goes."""
        self.trees: dict[int, TreeLayout] = {}
        """Of the rows whose new tokens end with a tree: who sees whom there."""

    def plan(
        self,
        slot: int,
        starts: Sequence[int],
        counts: Sequence[int],
        trees: Mapping[int, Sequence[int]] = NO_TREES,
    ) -> None:
        """Slot ``slot + b`` has ``starts[b]`` tokens and gets ``counts[b]`` more (0: none).

        ``trees``: by ``b`` the parents of the trees with which they end.
        """
        self.slot = slot
        self.starts = list(starts)
        if slot + len(starts) > self.slots:
            self.slots = max(slot + len(starts), 2 * self.slots if slot else 0)
        self.end = max(start + count for start, count in zip(starts, counts, strict=True))
        if self.end >= self.capacity:
            self.capacity = roomy(self.end)
        n = max(counts)
        first = torch.tensor([starts, counts], dtype=torch.int64).to(self._device, non_blocking=True)
        place = torch.arange(n, device=self._device) - (n - first[1])[:, None]
        self._lined = (place + first[0][:, None]).where(place >= 0, 0)
        self.places = self._lined.where(place >= 0, self.capacity - 1)
        self.positions = self._lined
        self.trees = {b: TreeLayout(tree, starts[b], counts[b], self._device) for b, tree in trees.items()}
        if trees:
            self.positions = self._lined.clone()
        for b, tree in self.trees.items():
            self.positions[b, n - counts[b] :] = tree.positions

    def first(self, window: int | None) -> int:
        """The first position in reach of any new token."""
        return 0 if window is None else max(0, min(self.starts) - window + 1)

    def mask(self, window: int | None, *, chunked: bool = False) -> Tensor:
        """bool ``[B, 1, n, keys]``: which of the keys of :meth:`RaggedLayer.update` a token sees.

        ``chunked``: those from the start of its own chunk of ``window`` tokens, not the last ``window``.
        """
        first = self.first(window)
        keys = torch.arange(first, self.end, device=self._device)
        query = self._lined[:, None, :, None]
        seen = keys <= query
        if window is not None:
            seen &= keys >= query - query % window if chunked else keys > query - window
        for b, tree in self.trees.items():
            own = tree.mask(window, chunked=chunked)[0, 0]
            n, reach = own.shape
            end = self.starts[b] + n - first
            row = seen[b, 0, -n:]
            row.fill_(value=False)
            row[:, end - reach : end] = own
        return seen


class RaggedLayer(DynamicLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """Keys and values of one layer: stores ``[B, heads, capacity, head size]``, all numbers finite."""

    keys: Any
    values: Any

    def __init__(self, layout: Layout, window: int | None) -> None:
        """Start empty; ``window`` is in tokens and counts the token that looks."""
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.layout = layout
        self.window = window
        self.is_sliding = window is not None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Put ``[B, heads, n, head size]`` keys and values in place; return all that may be looked at."""
        layout = self.layout
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.keys, self.values = (_room(states, layout) for states in (key_states, value_states))
            self.is_initialized = True
        self.reserve()
        places = layout.places.to(key_states.device)
        row = torch.arange(len(places), device=places.device)[:, None]
        first = layout.first(self.window)
        seen = []
        for store, states in ((self.keys, key_states), (self.values, value_states)):
            rows = store.narrow(0, layout.slot, len(layout.starts))
            rows.transpose(1, 2).index_put_((row, places), states.transpose(1, 2))  # scatter_ is slow
            seen.append(rows.narrow(2, first, layout.end - first))
        return seen[0], seen[1]

    @property
    def outgrown(self) -> bool:
        """Whether the coming pass needs more slots or places."""
        return bool(self.keys.shape[0] < self.layout.slots or self.keys.shape[2] < self.layout.capacity)

    def reserve(self) -> None:
        """Have the slots and places that the coming pass needs."""
        if self.outgrown:
            self.keys, self.values = (_moved(old, self.layout) for old in (self.keys, self.values))

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of one slot to another."""
        if self.is_initialized and length:
            for store in (self.keys, self.values):
                store[target, :, :length] = store[source, :, :length]

    def gather(self, slot: int, start: int, places: Tensor) -> None:
        """Put a slot's tokens at ``places``, int64 ``[m]`` and behind ``start`` in order, there in a row."""
        if self.is_initialized:
            places = places.to(self.device)
            for store in (self.keys, self.values):
                store[slot, :, start : start + len(places)] = store[slot].index_select(1, places)

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Longest sequence before the coming pass; positions are given to the model, so none rests on it."""
        return max(self.layout.starts, default=0)

    def get_mask_sizes(self, *_: Any, **__: Any) -> tuple[int, int]:
        """Number of keys that the next :meth:`update` returns, and how many it leaves out before them."""
        first = self.layout.first(self.window)
        return self.layout.end - first, first


def _room(like: Tensor, layout: Layout) -> Tensor:
    _, heads, _, size = like.shape
    return like.new_zeros((layout.slots, heads, layout.capacity, size))


def _moved(old: Tensor, layout: Layout) -> Tensor:
    """A larger store; the old last place, which holds filler, becomes an ordinary one."""
    store = _room(old, layout)
    store[: old.shape[0], :, : old.shape[2]] = old
    return store
