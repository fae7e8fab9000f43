"""Decoding for servers: events without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from anydraft.decoding.events import Event


async def events(start: Callable[[], Iterator[Event]]) -> AsyncGenerator[Event, None]:
    """The events of ``start()``, each round run in a thread of its own.

    If the consumer is cancelled or leaves the loop, the round that runs is the last one, and the stream is
    closed after it: also one that was still being made.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="anydraft")
    made = thread.submit(start)
    try:
        stream = await asyncio.wrap_future(made)
        while True:
            event = await asyncio.wrap_future(thread.submit(next, stream, None))
            if event is None:
                return
            yield event
    finally:  # what runs goes on; whoever uses its caches next waits for it: see PairCaches
        thread.submit(_close, made)
        thread.shutdown(wait=False)


def _close(made: Future[Iterator[Event]]) -> None:
    """Close the stream, if there is one; called in its thread, and so after whatever makes it."""
    if not made.cancelled() and made.exception() is None:
        close = getattr(made.result(), "close", None)
        if close is not None:
            close()
