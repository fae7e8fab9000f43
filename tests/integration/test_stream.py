"""A stream that is closed before its end: nothing more is said, and all that it held is free."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
import torch

import anydraft
import trained
from anydraft.decoding.caches import PairCaches
from anydraft.models.batch import sequences
from anydraft.models.joint import advance_together
from anydraft.models.row import TransformersRow

PROMPT = "The quick brown fox"


def pair() -> anydraft.Speculator:
    return anydraft.Speculator(*trained.pair(), num_draft_tokens=4)


class Leaving:
    """A model of one sequence that can leave a batch, and says how often it was told to."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def close(self) -> None:
        self.left += 1


def caches_of(made: anydraft.Speculator, rows: int) -> list[PairCaches]:
    """Caches whose rows share their passes."""
    target, draft, *_ = trained.pair()
    return [PairCaches(*both) for both in zip(sequences(target, rows), sequences(draft, rows), strict=True)]


def test_a_closed_stream_says_nothing_more() -> None:
    stream = pair().stream(PROMPT, max_new_tokens=100)
    first = next(stream)
    stream.close()
    assert list(stream) == []
    assert stream.stats.tokens == len(first.token_ids)
    stream.close()
    assert list(stream) == []


def test_it_may_be_closed_before_it_begins_and_after_its_end() -> None:
    made = pair()
    stream = made.stream(PROMPT, max_new_tokens=6)
    stream.close()
    assert list(stream) == []
    stream = made.stream(PROMPT, max_new_tokens=6)
    assert list(stream)
    stream.close()


def test_at_the_end_of_a_block() -> None:
    with contextlib.closing(pair().stream(PROMPT, max_new_tokens=100)) as stream:
        next(stream)
    assert list(stream) == []


def test_its_caches_may_be_used_at_once() -> None:
    made = pair()
    whole = made.generate(PROMPT, max_new_tokens=100)
    caches = PairCaches(*made.engine.sequences())
    stream = made.stream(PROMPT, max_new_tokens=100, caches=caches)
    said = next(stream).token_ids
    stream.close()
    out = made.generate(input_ids=whole.prompt_ids + said, max_new_tokens=100 - len(said), caches=caches)
    assert said + out.token_ids == whole.token_ids
    assert list(stream) == []  # and it is no error, whoever has the caches now


def test_its_places_in_batches_are_given_back_once() -> None:
    made = pair()
    target, draft = (Leaving(model) for model in made.engine.sequences())
    stream = made.stream(PROMPT, max_new_tokens=100, caches=PairCaches(target, draft))  # type: ignore[arg-type]
    next(stream)
    assert (target.left, draft.left) == (0, 0)
    stream.close()
    stream.close()
    assert (target.left, draft.left) == (1, 1)


def test_the_other_rows_of_a_batch_go_on() -> None:
    made = pair()
    first, second = caches_of(made, 2)
    alone = made.generate(PROMPT, max_new_tokens=100).token_ids
    one = made.stream(PROMPT, max_new_tokens=100, caches=first)
    other = made.stream(PROMPT, max_new_tokens=100, caches=second)
    said = next(other).token_ids
    next(one)
    one.close()
    assert said + [token for event in other for token in event.token_ids] == alone
    assert isinstance(first.target, TransformersRow)
    with pytest.raises(anydraft.ArgumentError, match="closed"):
        advance_together([first.target], [torch.tensor([1])], [1])


def test_an_old_stream_gives_nothing_back_of_what_a_new_one_has() -> None:
    made = pair()
    target, draft = (Leaving(model) for model in made.engine.sequences())
    caches = PairCaches(target, draft)  # type: ignore[arg-type]
    old = made.stream(PROMPT, max_new_tokens=100, caches=caches)
    next(old)
    new = made.stream(PROMPT, max_new_tokens=100, caches=caches)
    next(new)
    old.close()
    assert (target.left, draft.left) == (0, 0)
    assert list(new)


def test_a_criterion_may_close_its_own_stream() -> None:
    made = pair()
    streams: list[anydraft.Stream] = []

    def closing(ids: Any, scores: Any) -> bool:
        streams[0].close()
        return False

    streams.append(made.stream(PROMPT, max_new_tokens=100, stopping_criteria=[closing]))
    assert len(list(streams[0])) == 1


def test_closing_waits_for_a_round_in_another_thread() -> None:
    made = pair()
    caches = PairCaches(*made.engine.sequences())
    running, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def waiting(ids: Any, scores: Any) -> bool:
        running.set()
        go_on.wait(10)
        return False

    stream = made.stream(PROMPT, max_new_tokens=100, caches=caches, stopping_criteria=[waiting])
    events: list[anydraft.Event] = []
    reading = threading.Thread(target=lambda: events.extend(stream))
    reading.start()
    assert running.wait(10)

    def close() -> None:
        stream.close()
        closed.set()

    closing = threading.Thread(target=close)
    closing.start()
    assert not closed.wait(0.1)
    go_on.set()
    closing.join(10)
    reading.join(10)
    assert closed.is_set()
    assert len(events) == 1
    assert made.generate(PROMPT, max_new_tokens=5, caches=caches).token_ids


def test_a_consumer_that_leaves_gives_everything_back() -> None:
    others = set(threading.enumerate())
    made = pair()
    target, draft = (Leaving(model) for model in made.engine.sequences())
    caches = PairCaches(target, draft)  # type: ignore[arg-type]

    async def run() -> None:
        async with contextlib.aclosing(made.astream(PROMPT, max_new_tokens=100, caches=caches)) as stream:  # type: ignore[type-var]
            async for _ in stream:
                break
        while any(thread.name.startswith("anydraft") for thread in set(threading.enumerate()) - others):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert (target.left, draft.left) == (1, 1)
