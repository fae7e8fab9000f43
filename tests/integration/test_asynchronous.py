"""Asynchronous streams: the same events, an event loop that is never blocked, and an end when cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
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


def slow(seconds: float, rounds: list[float]) -> Iterator[Event]:
    """A stream whose rounds take long; ``rounds`` gets the time of each end."""
    while True:
        time.sleep(seconds)
        rounds.append(time.monotonic())
        yield Event([1], "a", 0, "bonus")


def test_the_event_loop_is_free_while_a_round_runs() -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def run() -> None:
        ticking = asyncio.create_task(tick())
        found = 0
        async for _ in events(lambda: slow(0.1, [])):
            found += 1
            if found == 3:
                break
        ticking.cancel()

    asyncio.run(run())
    assert len(ticks) > 9


def test_a_task_that_is_cancelled_ends_the_decode() -> None:
    rounds: list[float] = []

    async def run() -> None:
        async def consume() -> None:
            async for _ in events(lambda: slow(0.05, rounds)):
                pass

        task = asyncio.create_task(consume())
        while len(rounds) < 2:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5
        seen = len(rounds)
        await asyncio.sleep(0.3)
        assert len(rounds) <= seen + 1  # the round that ran was the last one

    asyncio.run(run())
    wait_for_threads()


def test_a_consumer_that_leaves_ends_the_decode() -> None:
    async def run() -> None:
        stream = pair().astream("The quick", max_new_tokens=400)
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    wait_for_threads()


def test_a_timeout_leaves_the_pair_usable() -> None:
    made = pair()

    async def run() -> None:
        async for _ in made.astream("The quick", max_new_tokens=450, min_new_tokens=450):
            pass

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(run(), 0.05))
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
    until = time.monotonic() + 10
    while any(thread.name.startswith("anydraft") for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
