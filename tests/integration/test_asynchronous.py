"""Asynchronous streams: the same events, an event loop that is never blocked, and an end when cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

import anydraft
import trained
from anydraft.decoding.asynchronous import events
from anydraft.decoding.events import Event


def pair() -> anydraft.Speculator:
    return anydraft.Speculator(*trained.pair(), num_draft_tokens=5)


def test_the_events_are_those_of_a_stream() -> None:
    async def run() -> list[Event]:
        return [event async for event in pair().astream("The quick", max_new_tokens=20)]

    assert asyncio.run(run()) == list(pair().stream("The quick", max_new_tokens=20))


def test_errors_are_raised_where_they_are_awaited() -> None:
    async def run() -> None:
        async for _ in pair().astream("x", temperature=-1.0):
            raise AssertionError("no event")

    with pytest.raises(anydraft.ArgumentError, match="temperature"):
        asyncio.run(run())


HANG = 120
"""Seconds after which something that waits is taken to hang; nothing passes or fails by them otherwise."""


def test_the_event_loop_is_free_while_a_round_runs() -> None:
    """Every round waits for the event loop to get a turn."""
    turn = threading.Event()
    had: list[bool] = []

    def waiting() -> Iterator[Event]:
        for _ in range(3):
            turn.clear()
            had.append(turn.wait(HANG))
            yield Event([1], "a", 0, "bonus")

    async def tick() -> None:
        while True:
            turn.set()
            await asyncio.sleep(0)

    async def run() -> None:
        ticking = asyncio.create_task(tick())
        async for _ in events(waiting):
            pass
        ticking.cancel()

    asyncio.run(run())
    assert had == [True, True, True]


def test_a_task_that_is_cancelled_ends_the_decode() -> None:
    """It ends while a round still runs, and that round is the last one."""
    begun: list[int] = []
    freed: list[bool] = []
    second, goes_on = threading.Event(), threading.Event()

    def held() -> Iterator[Event]:
        while True:
            begun.append(1)
            if len(begun) == 2:
                second.set()
                freed.append(goes_on.wait(HANG))
            yield Event([1], "a", 0, "bonus")

    async def consume() -> None:
        async for _ in events(held):
            pass

    async def run() -> None:
        task = asyncio.create_task(consume())
        assert await asyncio.to_thread(second.wait, HANG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(begun) == 2
        goes_on.set()

    asyncio.run(run())
    wait_for_threads()
    assert (len(begun), freed) == (2, [True])


def test_a_task_that_is_cancelled_while_its_stream_is_made_closes_it() -> None:
    """Its caches may be used again as after any other end: nothing is left open for nobody."""
    making, goes_on = threading.Event(), threading.Event()
    made: list[Held] = []

    class Held(Iterator[Event]):
        closed = False

        def __next__(self) -> Event:
            raise AssertionError("no round")

        def close(self) -> None:
            self.closed = True

    def start() -> Held:
        making.set()
        assert goes_on.wait(HANG)
        made.append(Held())
        return made[0]

    async def consume() -> None:
        async for _ in events(start):
            raise AssertionError("no event")

    async def run() -> None:
        task = asyncio.create_task(consume())
        assert await asyncio.to_thread(making.wait, HANG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        goes_on.set()

    asyncio.run(run())
    wait_for_threads()
    assert [stream.closed for stream in made] == [True]


def test_a_consumer_that_leaves_ends_the_decode() -> None:
    async def run() -> None:
        stream = pair().astream("The quick", max_new_tokens=400)
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    wait_for_threads()


def test_a_task_that_is_cancelled_leaves_the_pair_usable() -> None:
    made = pair()
    tasks: list[asyncio.Task[None]] = []

    async def consume() -> None:
        async for _ in made.astream("The quick", max_new_tokens=450, min_new_tokens=450):
            tasks[0].cancel()

    async def run() -> None:
        tasks.append(asyncio.create_task(consume()))
        await tasks[0]

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    wait_for_threads()
    assert (
        made.generate("Ça va", max_new_tokens=9).token_ids
        == pair().generate("Ça va", max_new_tokens=9).token_ids
    )


def test_several_streams_of_one_pair_do_not_mix() -> None:
    made = pair()
    prompts = ["The quick", "Ça va", "12345 67", "def fib(n):"]

    async def one(prompt: str) -> list[int]:
        return [i async for event in made.astream(prompt, max_new_tokens=16) for i in event.token_ids]

    async def run() -> list[list[int]]:
        return await asyncio.gather(*map(one, prompts))

    assert asyncio.run(run()) == [pair().generate(p, max_new_tokens=16).token_ids for p in prompts]


def wait_for_threads() -> None:
    """No thread of a stream lives on."""
    for thread in threading.enumerate():
        if thread.name.startswith("anydraft"):
            thread.join(HANG)
            assert not thread.is_alive()
