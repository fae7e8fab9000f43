"""CUDA graphs: the kernels of a pass, launched at once."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor

GiveUp: TypeAlias = "weakref.WeakMethod[Callable[[Exception], None]]"

_recording = threading.RLock()  # an interrupt may leave it locked; this thread must go on
"""Held by the thread that uses the stream for it."""
_streams: dict[torch.device, torch.cuda.Stream] = {}


class Recorded:
    """One pass. It holds all that its graph reads and writes."""

    def __init__(
        self, run: Callable[[], Tensor], inputs: Sequence[Tensor], pool: list[Any], give_up: GiveUp
    ) -> None:
        """``run`` reads ``inputs``; ``give_up`` is told why it cannot be recorded."""
        self._run, self._inputs, self._pool = run, inputs, pool
        self._give_up = give_up
        self._replay: Callable[[], Tensor] | None = None

    def __call__(self, *given: Tensor | int) -> Tensor:
        """With these inputs, tensors or a number: the output, in memory of its own."""
        for own, value in zip(self._inputs, given, strict=True):
            if isinstance(value, int):
                own.fill_(value)
            else:
                own.copy_(value)
        if self._replay is not None:
            return self._replay().clone()
        device = self._inputs[0].device
        output = run_apart(self._run, device)
        try:
            self._replay = record(self._run, device, self._pool)
        except RuntimeError as error:
            tell = self._give_up()
            if tell is not None:
                tell(error)
        return output


def run_apart(run: Callable[[], Tensor], device: torch.device) -> Tensor:
    """Run a pass on the stream for recording: libraries make their workspaces for it."""
    with _recording, _apart(device):
        output = run()
    return output.clone()


def record(run: Callable[[], Tensor], device: torch.device, pool: list[Any]) -> Callable[[], Tensor]:
    """Record a pass, without running it: what runs it, always into the same memory."""
    graph = torch.cuda.CUDAGraph()
    with _recording, _apart(device), _uncollected():
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
