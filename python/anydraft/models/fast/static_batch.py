"""The lean pass of a batch in static shapes: a few tokens for each of several texts of their own lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.layer import Surroundings, stacked, through
from anydraft.models.fast.rotary import Rotation
from anydraft.models.ragged import Layout, RaggedLayer

Stores = Sequence[tuple[Tensor, Tensor]]
"""Keys and values of every layer, each ``[slots, groups, places, size]``, all finite; the last place of a
slot is for filler."""


class Inputs(NamedTuple):
    """What a pass reads, each int64 ``[B, n]``."""

    ids: Tensor
    positions: Tensor
    places: Tensor
    """Where the keys go."""


def layout_of(layers: Sequence[Any], rows: int) -> Layout | None:
    """Where the tokens of the coming pass of ``rows`` texts stand, if that is all that the layers need."""
    first = layers[0]
    if not all(type(layer) is RaggedLayer and layer.is_initialized for layer in layers):
        return None
    layout: Layout = first.layout
    return layout if layout.slot == 0 and len(layout.starts) == rows else None


def filled(given: Inputs, rows: int, size: int, filler: int) -> Inputs:
    """The same with more rows and tokens: ``size`` tokens at their ends, and keys that go to ``filler``."""
    have_rows, n = given.ids.shape
    if (have_rows, n) == (rows, size):
        return given
    more = (size - n, 0, 0, rows - have_rows)
    ids, positions = (pad(numbers, more) for numbers in (given.ids, given.positions))
    return Inputs(ids, positions, pad(given.places, more, value=filler))


def static_batch(
    lean: LeanModel, given: Inputs, rotations: Mapping[str, Rotation], stores: Stores, *, head: bool
) -> Tensor:
    """Logits, or hidden states, ``[B, n, ...]`` of the texts in the first ``B`` slots.

    ``rotations``: by kind, of all positions that there are places for.
    """
    rows, positions = len(given.ids), given.positions
    hidden = lean.embed(given.ids)
    query = positions[:, None, :, None]
    slot = torch.arange(rows, device=positions.device)[:, None]
    kinds: dict[str, Surroundings] = {}
    for block, (keys, values) in zip(lean.blocks, stores, strict=True):
        if block.kind not in kinds:
            key = torch.arange(keys.shape[2], device=positions.device)
            seen = key <= query
            if block.window is not None:
                seen &= key > query - block.window
            cos, sin = rotations[block.kind]
            mask = stacked(block, seen, hidden.dtype)
            kinds[block.kind] = Surroundings((cos[positions], sin[positions]), mask, causal=False)
        store = _Slots(keys.narrow(0, 0, rows), values.narrow(0, 0, rows), slot, given.places)
        hidden = through(block, hidden, store, kinds[block.kind])
    hidden = lean.norm(hidden)
    return lean.logits(hidden) if head else hidden


class _Slots(NamedTuple):
    """Stores of one layer ``[B, groups, places, size]``, and where the new tokens go."""

    keys: Tensor
    values: Tensor
    slot: Tensor
    places: Tensor

    def update(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new ones in place and return all."""
        for store, states in ((self.keys, keys), (self.values, values)):
            store.transpose(1, 2).index_put_((self.slot, self.places), states.transpose(1, 2))
        return self.keys, self.values
