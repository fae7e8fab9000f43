"""Static passes recorded as CUDA graphs: all kernels of a pass are launched at once.

A pass over a few tokens is hundreds of small kernels, and on a GPU launching them one by one takes longer
than running them. Recording takes as long as a pass or two, so it needs no asking for.
"""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor

from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.static import StaticLean, Step, rotations_of, static_pass
from anydraft.models.kv_cache import GrowingLayer

_LEAST_PLACES = 512
_PARTS = 4
"""Places grow in steps of a quarter to a half of what there is: keys that nobody sees cost reading too."""

_FREE = 4
"""Sets of stores of one size that are kept for the next texts: with them their graphs."""

GiveUp: TypeAlias = "weakref.WeakMethod[Callable[[Exception], None]]"

_capturing = threading.Lock()
_streams: dict[torch.device, torch.cuda.Stream] = {}


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
        self._free: dict[int, list[_Places]] = defaultdict(list)
        self._read: list[Tensor] = []
        self._works = True

    def check(self, parameters: Iterable[Tensor]) -> None:
        """Forget what was recorded if they lie elsewhere now: a graph knows addresses."""
        read = [parameter.detach() for parameter in parameters]
        if [tensor.data_ptr() for tensor in read] != [tensor.data_ptr() for tensor in self._read]:
            self._free.clear()
            self._read = read  # keeps their memory from being used for anything else

    def step(self, layers: list[Any], size: int, length: int, *, head: bool) -> Step | None:
        """See :meth:`StaticLean.step`; ``None`` where recording has failed before."""
        if not self._works:
            return None
        try:
            places = self._settled(layers, length)
        except torch.OutOfMemoryError as error:
            self._give_up(error)
            return None
        return places.steps.get((size, head)) or places.record(
            size, weakref.WeakMethod(self._give_up), head=head
        )

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
        held, count = first.length, places_for(length)
        free = self._free[count]
        made = free.pop() if free else _Places(self.lean, layers, count, self._read)
        made.take_in(layers, held)
        if places is not None:
            self._release(places)
        first.places = made
        made.released = weakref.finalize(first, self._release_if_alive, weakref.ref(self), made)
        made.released.atexit = False
        return made

    def _release(self, places: _Places) -> None:
        """Another text may use these stores."""
        if places.released is not None:
            places.released.detach()
        free = self._free[places.count]
        if places.of is self._read and len(free) < _FREE:
            free.append(places)

    @staticmethod
    def _release_if_alive(owner: weakref.ref[RecordedLean], places: _Places) -> None:
        lean = owner()
        if lean is not None:
            lean._release(places)


class _Places:
    """Stores for all layers of one text, and the passes that were recorded on them."""

    def __init__(self, lean: LeanModel, layers: list[Any], count: int, read: list[Tensor]) -> None:
        """For ``count`` tokens; the layers say what their keys and values look like."""
        self.count, self.of = count, read
        self._lean = lean
        self._stores = [(_like(layer.keys, count), _like(layer.values, count)) for layer in layers]
        self._rotations = rotations_of(lean, count)
        self._pool: list[Any] = []
        """What the graphs of these stores, which never run at once, share their memory in."""
        self.steps: dict[tuple[int, bool], Step] = {}
        self.released: weakref.finalize[..., Any] | None = None

    def hold(self, layers: list[Any]) -> bool:
        """Whether the layers are in these stores."""
        return all(
            layer.key_store is keys and layer.value_store is values
            for layer, (keys, values) in zip(layers, self._stores, strict=True)
        )

    def take_in(self, layers: list[Any], length: int) -> None:
        """Have the layers, which hold ``length`` tokens, live here."""
        torch._foreach_zero_([store for pair in self._stores for store in pair])  # no NaN of a former text
        for layer, (keys, values) in zip(layers, self._stores, strict=True):
            keys.narrow(2, 0, length).copy_(layer.keys)
            values.narrow(2, 0, length).copy_(layer.values)
            layer.key_store, layer.value_store = keys, values
            layer.take(length)

    def record(self, size: int, give_up: GiveUp, *, head: bool) -> Step:
        """The pass over ``size`` tokens, recorded when it is first run; see :class:`_Recorded`."""
        device = self._stores[0][0].device
        ids = torch.zeros(1, size, dtype=torch.int64, device=device)
        start = torch.zeros((), dtype=torch.int64, device=device)
        ahead = torch.arange(size, device=device)
        lean, stores, rotations = self._lean, self._stores, self._rotations

        def run() -> Tensor:
            return static_pass(lean, ids, start + ahead, rotations, stores, head=head)

        step = _Recorded(run, ids, start, self._pool, give_up)
        self.steps[size, head] = step
        return step

    def __deepcopy__(self, memo: object) -> None:
        """A copy of a cache has stores of its own, which no graph knows."""


class _Recorded:
    """One pass. It holds all that its graph reads and writes."""

    def __init__(
        self,
        run: Callable[[], Tensor],
        ids: Tensor,
        start: Tensor,
        pool: list[Any],
        give_up: GiveUp,
    ) -> None:
        """``run`` reads ``ids`` and ``start``; ``give_up`` is told why it cannot be recorded."""
        self._run, self._ids, self._start, self._pool = run, ids, start, pool
        self._give_up = give_up
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, ids: Tensor, start: int) -> Tensor:
        """See :class:`~anydraft.models.fast.static.Step`."""
        self._ids.copy_(ids)
        self._start.fill_(start)
        if self._replay is not None:
            return self._replay().clone()
        output = run_apart(self._run, self._ids.device)
        try:
            self._replay = record(self._run, self._ids.device, self._pool)
        except RuntimeError as error:
            tell = self._give_up()
            if tell is not None:
                tell(error)
        return output


def places_for(length: int) -> int:
    """Places of stores for ``length`` tokens: few different numbers, none much larger than needed."""
    part = max(_LEAST_PLACES, (1 << (length - 1).bit_length()) // (2 * _PARTS))
    return -(-length // part) * part


def run_apart(run: Callable[[], Tensor], device: torch.device) -> Tensor:
    """Run a pass on the stream for recording: libraries make their workspaces for it."""
    with _apart(device):
        output = run()
    return output.clone()


def record(run: Callable[[], Tensor], device: torch.device, pool: list[Any]) -> Callable[[], Tensor]:
    """Record a pass, without running it: what runs it, always into the same memory."""
    graph = torch.cuda.CUDAGraph()
    with _capturing, _apart(device), _uncollected():
        if not pool:
            pool.append(torch.cuda.graph_pool_handle())
        graph.capture_begin(pool=pool[0], capture_error_mode="thread_local")
        try:
            kept = run()
        finally:
            graph.capture_end()

    def replay() -> Tensor:
        graph.replay()
        return kept

    return replay


@contextmanager
def _apart(device: torch.device) -> Iterator[None]:
    """On the stream for recording, after all that was issued before; what follows waits for it."""
    if device not in _streams:
        _streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream, current = _streams[device], torch.cuda.current_stream(device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        yield
    current.wait_stream(stream)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Garbage waits: what it would free may not be freed while a graph is recorded."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _like(states: Tensor, count: int) -> Tensor:
    *lead, _, size = states.shape
    return states.new_empty((*lead, count, size))
