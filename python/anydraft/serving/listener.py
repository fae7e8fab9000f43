"""From the scheduler's thread to the event loop, and whether a client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TypeVar

from starlette.types import Receive

from anydraft.decoding.events import Event
from anydraft.serving.errors import client_gone

T = TypeVar("T")


class Listener:
    """The events of some jobs, in the event loop where it was made."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, Event | Exception]] = asyncio.Queue()

    def teller(self, index: int) -> Callable[[Event | Exception], None]:
        """What hands over what a job says, by its number; from any thread."""
        return partial(self._tell, index)

    def _tell(self, index: int, said: Event | Exception) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (index, said))

    async def events(self, count: int) -> AsyncGenerator[tuple[int, Event], None]:
        """All events of so many jobs up to their last, with their numbers; an error is raised."""
        while count:
            index, said = await self._queue.get()
            if isinstance(said, Exception):
                raise said
            yield index, said
            count -= said.finish_reason is not None


async def while_there(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """Wait for ``work``, but not longer than the client does. The request's body must have been read.

    Raises:
        RequestError: the client went away; ``work`` was cancelled.
    """
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise client_gone()
        return doing.result()
    finally:
        for task in (doing, gone):
            task.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
