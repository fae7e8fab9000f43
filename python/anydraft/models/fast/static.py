"""Lean passes over a few tokens in static shapes: they can be compiled, or recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from anydraft.models.fast.forward import Hidden, LeanModel, Logits
from anydraft.models.fast.layer import Surroundings, stacked, through
from anydraft.models.fast.rotary import Rotation
from anydraft.models.kv_cache import GrowingLayer

Stores = Sequence[tuple[Tensor, Tensor]]
"""Keys and values of every layer, each ``[1, groups, places, size]``, all finite."""


class Step(Protocol):
    """A pass in one shape."""

    def __call__(self, ids: Tensor, start: int, /) -> Tensor:
        """Read ``ids`` int64 ``[1, size]`` behind ``start`` tokens.

        Result: logits or hidden states ``[1, size, ...]``, in memory of their own.
        """


class StaticLean:
    """Called as a :class:`LeanModel`, which takes the passes that have no static shape.

    Those are passes over more tokens than :attr:`sizes`, and the first of a text.
    """

    layer_of: type[GrowingLayer]
    """What the layers of its caches are made of."""
    sizes: tuple[int, ...]
    """Numbers of tokens that there are passes for; one in between is filled up to the next."""

    def __init__(self, lean: LeanModel) -> None:
        """Nothing is made until it is needed."""
        self.lean = lean

    def check(self, parameters: Iterable[Tensor]) -> None:
        """Told the model's parameters where a decode begins: they may lie elsewhere than before."""

    def step(self, layers: list[Any], size: int, length: int, *, head: bool) -> Step | None:
        """The pass over ``size`` tokens of a cache with places for ``length``; ``None``: not in this shape.

        ``head``: whether logits are wanted, or hidden states. The layers hold at least one token.
        """
        raise NotImplementedError

    def batch(self, ids: Tensor, layers: list[Any], *, head: bool) -> Tensor | None:
        """The pass over ``ids`` int64 ``[B, n]``, n at most the last of :attr:`sizes`, of several texts.

        Result: ``[B, n, ...]``; ``None``: not in this shape, or never.
        """
        return None

    def __call__(self, *, input_ids: Tensor, logits_to_keep: int = 0, **given: Any) -> Logits:
        """See :class:`LeanModel`."""
        output = self._run(input_ids, given, head=True)
        if output is None:
            return self.lean(input_ids=input_ids, logits_to_keep=logits_to_keep, **given)
        return Logits(output[:, -logits_to_keep:])

    def base_model(self, *, input_ids: Tensor, **given: Any) -> Hidden:
        """See :meth:`LeanModel.base_model`."""
        output = self._run(input_ids, given, head=False)
        return self.lean.base_model(input_ids=input_ids, **given) if output is None else Hidden(output)

    def _run(self, ids: Tensor, given: Mapping[str, Any], *, head: bool) -> Tensor | None:
        n, layers = ids.shape[1], given["past_key_values"].layers
        if n > self.sizes[-1]:
            return None
        if given.get("attention_mask") is not None or ids.shape[0] != 1:
            return self.batch(ids, layers, head=head)
        if not all(type(layer) is self.layer_of and layer.is_initialized for layer in layers):
            return None
        size = next(size for size in self.sizes if size >= n)
        start = layers[0].length
        step = self.step(layers, size, start + size, head=head)
        if step is None:
            return None
        output = step(pad(ids, (0, size - n)) if n < size else ids, start)
        for layer in layers:
            layer.take(start + n)
        return output[:, :n]


class _Store(NamedTuple):
    """Stores of one layer, and where the new tokens go."""

    keys: Tensor
    values: Tensor
    positions: Tensor

    def update(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new ones in place and return all."""
        self.keys.index_copy_(2, self.positions, keys)
        self.values.index_copy_(2, self.positions, values)
        return self.keys, self.values


def static_pass(
    lean: LeanModel,
    ids: Tensor,
    positions: Tensor,
    rotations: Mapping[str, Rotation],
    stores: Stores,
    *,
    head: bool,
) -> Tensor:
    """``ids`` int64 ``[1, n]`` at ``positions`` int64 ``[n]``: logits, or hidden states, ``[1, n, ...]``.

    ``rotations``: by kind, of all positions that there are places for. Places behind a token are masked, so
    that they may hold anything finite.
    """
    hidden = lean.embed(ids)
    kinds: dict[str, Surroundings] = {}
    for block, (keys, values) in zip(lean.blocks, stores, strict=True):
        if block.kind not in kinds:
            key, query = torch.arange(keys.shape[2], device=ids.device), positions[:, None]
            seen = key <= query
            if block.window is not None:
                seen &= key > query - block.window
            mask = stacked(block, seen, hidden.dtype)
            cos, sin = rotations[block.kind]
            kinds[block.kind] = Surroundings((cos[positions], sin[positions]), mask, causal=False)
        hidden = through(block, hidden, _Store(keys, values, positions), kinds[block.kind])
    hidden = lean.norm(hidden)
    return lean.logits(hidden) if head else hidden


def rotations_of(lean: LeanModel, length: int) -> dict[str, Rotation]:
    """Of the first ``length`` positions and more, by kind."""
    return {kind: lean.rotary.all(lean.dtype, kind, length) for kind in lean.kinds}
