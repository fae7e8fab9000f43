"""Lean passes over a few tokens, compiled by PyTorch for static shapes; on CUDA recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from anydraft.models.fast.forward import Hidden, LeanModel, Logits
from anydraft.models.fast.layer import Surroundings, stacked, through
from anydraft.models.fast.rotary import Rotation
from anydraft.models.kv_cache import GrowingLayer

_LEAST_ROOM = 512

_VECTORS = {"AVX2": 256, "AVX512": 512}
"""Bits of a vector, by what a CPU can. Left unsaid, they are missing in the key of PyTorch's cache on disk,
and a pass that was made for others writes past its memory (PyTorch 2.15)."""

_compiled: WeakKeyDictionary[LeanModel, CompiledLeanModel] = WeakKeyDictionary()


class StaticLayer(GrowingLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """A layer of a cache whose stores have a power of two of places, all finite, at addresses that stay."""

    def room(self, like: Tensor, length: int) -> Tensor:
        """See :meth:`GrowingLayer.room`."""
        *lead, _, size = like.shape
        places = max(_LEAST_ROOM, 1 << (length - 1).bit_length())
        store = like.new_zeros((*lead, places, size))
        torch._dynamo.mark_static_address(store)
        return store


class _Store(NamedTuple):
    """Stores of one layer ``[1, groups, places, size]``, and where the new tokens go."""

    keys: Tensor
    values: Tensor
    positions: Tensor

    def update(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put new ones in place and return all."""
        self.keys.index_copy_(2, self.positions, keys)
        self.values.index_copy_(2, self.positions, values)
        return self.keys, self.values


class CompiledLeanModel:
    """Called as a :class:`LeanModel`, which takes passes over more tokens than :attr:`sizes`, or with a mask.

    Compiling takes seconds for each size, and again when a cache outgrows its places, which then double.
    :meth:`TransformersModel.warm` has it done before passes are timed.
    """

    layer_of = StaticLayer
    """What the layers of its caches are made of."""
    sizes = (1, 8)
    """Numbers of tokens that a pass is compiled for; one in between is filled up to the next."""

    def __init__(self, lean: LeanModel) -> None:
        """Nothing is compiled until it is needed."""
        self._lean = lean
        self._on_cuda = lean.device.type == "cuda"
        self._steps: dict[tuple[bool, int, int], Callable[..., Tensor]] = {}
        """By whether logits are wanted, tokens, and places of the cache."""

    def __call__(self, *, input_ids: Tensor, logits_to_keep: int = 0, **given: Any) -> Logits:
        """See :class:`LeanModel`."""
        if not self._suits(input_ids, given):
            return self._lean(input_ids=input_ids, logits_to_keep=logits_to_keep, **given)
        n = input_ids.shape[1]
        logits = self._run(input_ids, given["past_key_values"].layers, head=True)
        return Logits(logits[:, n - (logits_to_keep or n) : n])

    def base_model(self, *, input_ids: Tensor, **given: Any) -> Hidden:
        """See :meth:`LeanModel.base_model`."""
        if not self._suits(input_ids, given):
            return self._lean.base_model(input_ids=input_ids, **given)
        hidden = self._run(input_ids, given["past_key_values"].layers, head=False)
        return Hidden(hidden[:, : input_ids.shape[1]])

    def _suits(self, ids: Tensor, given: Mapping[str, Any]) -> bool:
        layers = given["past_key_values"].layers
        return (
            given.get("attention_mask") is None
            and ids.shape[0] == 1
            and ids.shape[1] <= self.sizes[-1]
            and all(type(layer) is StaticLayer and layer.is_initialized for layer in layers)
        )

    def _run(self, ids: Tensor, layers: list[StaticLayer], *, head: bool) -> Tensor:
        n = ids.shape[1]
        size = next(size for size in self.sizes if size >= n)
        start = layers[0].length
        for layer in layers:
            layer.reserve(start + size)
        positions = torch.arange(start, start + size, device=ids.device)
        rotations = {
            kind: self._lean.rotary.all(self._lean.dtype, kind, start + size) for kind in self._lean.kinds
        }
        stores = [(layer.key_store, layer.value_store) for layer in layers]
        step = self._step(size, stores[0][0].shape[2], head=head)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        output: Tensor = step(torch.nn.functional.pad(ids, (0, size - n)), positions, rotations, stores)
        for layer in layers:
            layer.take(start + n)
        return output.clone() if self._on_cuda else output  # a graph writes to the same place every time

    def _step(self, size: int, places: int, *, head: bool) -> Callable[..., Tensor]:
        """The compiled pass for a shape."""
        if (head, size, places) not in self._steps:

            def step(*given: Any) -> Tensor:
                return self._pass(*given, head=head)

            # Code of its own: PyTorch limits how often the same code may be compiled.
            step.__code__ = step.__code__.replace()
            given: dict[str, Any] = {"mode": "reduce-overhead"}
            if not self._on_cuda:
                given = {"options": {"cpp.simdlen": _VECTORS.get(torch.backends.cpu.get_cpu_capability())}}
            made: Any = torch.compile
            self._steps[head, size, places] = made(step, fullgraph=True, dynamic=False, **given)
        return self._steps[head, size, places]

    def _pass(
        self,
        ids: Tensor,
        positions: Tensor,
        rotations: dict[str, Rotation],
        stores: list[tuple[Tensor, Tensor]],
        *,
        head: bool,
    ) -> Tensor:
        lean = self._lean
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


def compiled(lean: LeanModel) -> CompiledLeanModel:
    """The compiled form of ``lean``; one for as long as it lives."""
    known = _compiled.get(lean)
    if known is None:
        known = _compiled[lean] = CompiledLeanModel(lean)
    return known
