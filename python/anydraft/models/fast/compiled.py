"""Static passes compiled by PyTorch; on CUDA it records them as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.static import StaticLean, Step, rotations_of, static_pass
from anydraft.models.kv_cache import GrowingLayer

_LEAST_ROOM = 512

_VECTORS = {"AVX2": 256, "AVX512": 512}
"""Bits of a vector, by what a CPU can. Left unsaid, they are missing in the key of PyTorch's cache on disk,
and a pass that was made for others writes past its memory (PyTorch 2.15)."""


class StaticLayer(GrowingLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """A layer of a cache whose stores have a power of two of places, all finite, at addresses that stay."""

    def room(self, like: Tensor, length: int) -> Tensor:
        """See :meth:`GrowingLayer.room`."""
        *lead, _, size = like.shape
        places = max(_LEAST_ROOM, 1 << (length - 1).bit_length())
        store = like.new_zeros((*lead, places, size))
        torch._dynamo.mark_static_address(store)
        return store


class CompiledLean(StaticLean):
    """Compiling takes seconds for each size, and again when a cache outgrows its places, which then double.

    :meth:`TransformersModel.warm` has it done before passes are timed.
    """

    layer_of = StaticLayer
    sizes = (1, 8)

    def __init__(self, lean: LeanModel) -> None:
        """Nothing is compiled until it is needed."""
        super().__init__(lean)
        self._on_cuda = lean.device.type == "cuda"
        self._made: dict[tuple[bool, int, int], Callable[..., Tensor]] = {}
        """By whether logits are wanted, tokens, and places of the cache."""

    def step(self, layers: list[Any], size: int, length: int, *, head: bool) -> Step:
        """See :meth:`StaticLean.step`."""
        for layer in layers:
            layer.reserve(length)
        return partial(self._step, layers, head=head)

    def _step(self, layers: list[Any], ids: Tensor, start: int, *, head: bool) -> Tensor:
        size = ids.shape[1]
        positions = torch.arange(start, start + size, device=ids.device)
        stores = [(layer.key_store, layer.value_store) for layer in layers]
        made = self._compiled(size, stores[0][0].shape[2], head=head)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        output: Tensor = made(ids, positions, rotations_of(self.lean, start + size), stores)
        return output.clone() if self._on_cuda else output  # a graph writes to the same place every time

    def _compiled(self, size: int, places: int, *, head: bool) -> Callable[..., Tensor]:
        """The compiled pass for a shape."""
        if (head, size, places) not in self._made:
            lean = self.lean

            def step(*given: Any) -> Tensor:
                return static_pass(lean, *given, head=head)

            # Code of its own: PyTorch limits how often the same code may be compiled.
            step.__code__ = step.__code__.replace()
            given: dict[str, Any] = {"mode": "reduce-overhead"}
            if not self._on_cuda:
                given = {"options": {"cpp.simdlen": _VECTORS.get(torch.backends.cpu.get_cpu_capability())}}
            made: Any = torch.compile
            self._made[head, size, places] = made(step, fullgraph=True, dynamic=False, **given)
        return self._made[head, size, places]
