"""Static passes recorded as CUDA graphs: all kernels of a pass are launched at once.

A pass over a few tokens is hundreds of small kernels, and on a GPU launching them one by one takes longer
than running them. Recording takes as long as a pass or two, so it needs no asking for.
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.graphs import GiveUp, Recorded
from anydraft.models.fast.static import StaticLean, Step, rotations_of, static_pass
from anydraft.models.fast.static_batch import Inputs, filled, layout_of, static_batch
from anydraft.models.kv_cache import GrowingLayer

_LEAST_PLACES = 512
_PARTS = 4
"""Places grow in steps of a quarter to a half of what there is: keys that nobody sees cost reading too."""

_MOST_TOKENS = 512
"""Of all texts of a batch: a pass over more is arithmetic, not launches."""

_FREE_BYTES = 2**30
"""Of stores that are kept for the next texts, and with them their graphs."""


class RecordedLayer(GrowingLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """A layer of a cache that moves into stores of :class:`_Places` where passes are recorded."""

    places: _Places | None = None
    """Of the first layer: what all layers are in, if they are."""


class RecordedLean(StaticLean):
    """Records a pass where it is first needed.

    The stores of a text that has ended, and the graphs that read and write them, serve the next.
    """

    layer_of = RecordedLayer
    sizes = (1, 2, 4, 8, 16)

    def __init__(self, lean: LeanModel) -> None:
        """Nothing is recorded until it is needed."""
        super().__init__(lean)
        self._free: list[_Places] = []
        """The latest last."""
        self._left: deque[_Places] = deque()
        """Of texts that are gone: noted wherever garbage is collected, looked at when one is needed."""
        self._lock = threading.RLock()  # an interrupt may leave it locked; this thread must go on
        self._read: list[Tensor] = []
        self._works = True

    def check(self, parameters: Iterable[Tensor]) -> None:
        """Forget what was recorded if they lie elsewhere now: a graph knows addresses."""
        read = [parameter.detach() for parameter in parameters]
        if [tensor.data_ptr() for tensor in read] != [tensor.data_ptr() for tensor in self._read]:
            with self._lock:
                self._free.clear()
                self._left.clear()
                self._read = read  # keeps their memory from being used for anything else

    def step(self, layers: list[Any], size: int, length: int, *, head: bool) -> Step | None:
        """See :meth:`StaticLean.step`; ``None`` where recording has failed before."""
        if not self._can():
            return None
        try:
            places = self._settled(layers, length)
        except torch.OutOfMemoryError as error:
            self._give_up(error)
            return None
        return places.steps.get((size, head)) or places.record(
            size, weakref.WeakMethod(self._give_up), head=head
        )

    def batch(self, ids: Tensor, layers: list[Any], *, head: bool) -> Tensor | None:
        """See :meth:`StaticLean.batch`."""
        count, n = ids.shape
        layout = layout_of(layers, count)
        rows, size = 1 << (count - 1).bit_length(), next(size for size in self.sizes if size >= n)
        if layout is None or not self._can() or rows * size > _MOST_TOKENS:
            return None
        before, layout.slots = layout.slots, max(layout.slots, rows)
        slots: _Slots | None = vars(layers[0]).get("recorded")
        if layers[0].outgrown:
            slots = layers[0].recorded = None  # so that each layer's old stores go as it moves
        try:
            with torch.inference_mode(mode=False):  # what is kept is written to in any mode
                for layer in layers:
                    layer.reserve()
        except torch.OutOfMemoryError as error:
            layout.slots = before
            self._give_up(error)
            return None
        if slots is None or slots.of is not self._read or not slots.hold(layers):
            slots = layers[0].recorded = _Slots(self.lean, layers, self._read)
        given = Inputs(ids, layout.positions, layout.places)
        step = slots.step(rows, size, weakref.WeakMethod(self._give_up), head=head)
        output = step(*filled(given, rows, size, slots.places - 1))
        return output[:count, size - n :]

    def _can(self) -> bool:
        """Whether passes may be recorded now. Under autocast they are other passes than without."""
        return self._works and not torch.is_autocast_enabled(self.lean.device.type)

    def _give_up(self, error: Exception) -> None:
        self._works = False
        warnings.warn(
            f"passes could not be recorded as CUDA graphs ({error}); they run one kernel after the other, "
            "which gives the same and takes longer",
            stacklevel=2,
        )

    def _settled(self, layers: list[Any], length: int) -> _Places:
        """The stores of a cache, with places for ``length`` tokens; moved there if it is elsewhere."""
        first = layers[0]
        places: _Places | None = first.places
        if places is not None and places.count >= length and places.of is self._read and places.hold(layers):
            return places
        held, made = first.length, self._picked(places_for(length))
        made.take_in(layers, held)
        if places is not None:
            if places.released is not None:
                places.released.detach()
            self._leave(places)
        first.places = made
        made.released = weakref.finalize(first, self._leave_if_alive, weakref.ref(self), made)
        made.released.atexit = False
        return made

    def _picked(self, count: int) -> _Places:
        """Stores with so many places that no text uses; the oldest others go where they are too many."""
        with self._lock:
            while self._left:
                self._free.append(self._left.popleft())
            at = next((i for i in reversed(range(len(self._free))) if self._free[i].count == count), None)
            made = _Places(self.lean, count, self._read) if at is None else self._free.pop(at)
            while sum(free.nbytes for free in self._free) > _FREE_BYTES:
                self._free.pop(0)
        return made

    def _leave(self, places: _Places) -> None:
        """Another text may use these stores."""
        if places.of is self._read and places.nbytes <= _FREE_BYTES:
            self._left.append(places)

    @staticmethod
    def _leave_if_alive(owner: weakref.ref[RecordedLean], places: _Places) -> None:
        lean = owner()
        if lean is not None:
            lean._leave(places)


class _Places:
    """Stores for all layers of one text, and the passes that were recorded on them."""

    def __init__(self, lean: LeanModel, count: int, read: list[Tensor]) -> None:
        """For ``count`` tokens; ``read``: the model's parameters, where they lie."""
        self.count, self.of = count, read
        self._lean = lean
        self._stores: list[tuple[Tensor, Tensor]] = []
        """Made when the first text is taken in."""
        self._rotations = rotations_of(lean, count)
        self._pool: list[Any] = []
        """What the graphs of these stores, which never run at once, share their memory in."""
        self.steps: dict[tuple[int, bool], Step] = {}
        self.released: weakref.finalize[..., Any] | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the stores."""
        return sum(store.nbytes for pair in self._stores for store in pair)

    def hold(self, layers: list[Any]) -> bool:
        """Whether the layers are in these stores."""
        return all(
            layer.key_store is keys and layer.value_store is values
            for layer, (keys, values) in zip(layers, self._stores, strict=True)
        )

    def take_in(self, layers: list[Any], length: int) -> None:
        """Have the layers, which hold ``length`` tokens, live here; one moves after the other."""
        if self._stores:
            # No NaN of a former text may be left.
            torch._foreach_zero_([store for pair in self._stores for store in pair])
        new = not self._stores
        for at, layer in enumerate(layers):
            if new:
                with torch.inference_mode(mode=False):  # what is kept is written to in any mode
                    pair = _like(layer.keys, self.count), _like(layer.values, self.count)
                self._stores.append(pair)
            keys, values = self._stores[at]
            keys.narrow(2, 0, length).copy_(layer.keys)
            values.narrow(2, 0, length).copy_(layer.values)
            layer.key_store, layer.value_store = keys, values
            layer.take(length)

    def record(self, size: int, give_up: GiveUp, *, head: bool) -> Step:
        """The pass over ``size`` tokens, recorded when it is first run; see :class:`Recorded`."""
        device = self._stores[0][0].device
        with torch.inference_mode(mode=False):
            ids = torch.zeros(1, size, dtype=torch.int64, device=device)
            start = torch.zeros((), dtype=torch.int64, device=device)
        ahead = torch.arange(size, device=device)
        lean, stores, rotations = self._lean, self._stores, self._rotations

        def run() -> Tensor:
            return static_pass(lean, ids, start + ahead, rotations, stores, head=head)

        step = Recorded(run, (ids, start), self._pool, give_up)
        self.steps[size, head] = step
        return step

    def __deepcopy__(self, memo: object) -> None:
        """A copy of a cache has stores of its own, which no graph knows."""

    def __reduce__(self) -> tuple[Any, ...]:
        """The same of one that is pickled: ``None``."""
        return _nothing, ()


class _Slots:
    """The passes that were recorded on the stores of a batch."""

    def __init__(self, lean: LeanModel, layers: Sequence[Any], read: list[Tensor]) -> None:
        """``read``: the model's parameters, where they lie."""
        self._lean, self.of = lean, read
        self._stores = [(layer.keys, layer.values) for layer in layers]
        self.places = int(layers[0].keys.shape[2])
        self._rotations = rotations_of(lean, self.places)
        self._pool: list[Any] = []
        self._steps: dict[tuple[int, int, bool], Recorded] = {}

    def hold(self, layers: Sequence[Any]) -> bool:
        """Whether the stores of the layers are these."""
        return all(
            layer.keys is keys and layer.values is values
            for layer, (keys, values) in zip(layers, self._stores, strict=True)
        )

    def step(self, rows: int, size: int, give_up: GiveUp, *, head: bool) -> Recorded:
        """The pass over ``size`` tokens of each of the first ``rows`` slots; its inputs: :class:`Inputs`."""
        if (rows, size, head) not in self._steps:
            device = self._stores[0][0].device
            with torch.inference_mode(mode=False):
                given = Inputs(*(torch.zeros(rows, size, dtype=torch.int64, device=device) for _ in range(3)))
            lean, stores, rotations = self._lean, self._stores, self._rotations

            def run() -> Tensor:
                return static_batch(lean, given, rotations, stores, head=head)

            self._steps[rows, size, head] = Recorded(run, given, self._pool, give_up)
        return self._steps[rows, size, head]

    def __deepcopy__(self, memo: object) -> None:
        """See :class:`_Places`."""

    def __reduce__(self) -> tuple[Any, ...]:
        """See :class:`_Places`."""
        return _nothing, ()


def places_for(length: int) -> int:
    """Places of stores for ``length`` tokens: few different numbers, none much larger than needed."""
    part = max(_LEAST_PLACES, (1 << (length - 1).bit_length()) // (2 * _PARTS))
    return -(-length // part) * part


def _nothing() -> None:
    """What is left of graphs in a file."""


def _like(states: Tensor, count: int) -> Tensor:
    *lead, _, size = states.shape
    return states.new_zeros((*lead, count, size))
