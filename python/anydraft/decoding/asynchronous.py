"""Decoding for servers: events without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from anydraft.decoding.events import Event


async def events(start: Callable[[], Iterator[Event]]) -> AsyncGenerator[Event, None]:
    """The events of ``start()``, each round run in a thread of its own.

    If the consumer is cancelled or leaves the loop, the round that runs is the last one.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="anydraft")
    close: Callable[[], None] | None = None
    try:
        stream = await loop.run_in_executor(thread, start)
        close = getattr(stream, "close", None)
        while True:
            event = await loop.run_in_executor(thread, next, stream, None)
            if event is None:
                return
            yield event
    finally:  # the round that runs goes on; whoever uses its caches next waits for it: see PairCaches
        if close is not None:
            thread.submit(close)
        thread.shutdown(wait=False)
