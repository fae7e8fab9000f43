"""Threads and processes: what may be shared, what is refused, what pickles. Rules: docs/processes.md."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
import torch

import anydraft
import byte_tokenizers
import forked
import small
import trained
from anydraft import errors
from anydraft.serving.errors import RequestError
from anydraft.testing.violation import Finding, LawBrokenError

PROMPT = "The quick brown fox"


def pair(**options: Any) -> anydraft.Speculator:
    return anydraft.Speculator(*trained.pair(), num_draft_tokens=4, **options)


class Waiting:
    """A stopping criterion that waits inside the second round until it is told to go on."""

    def __init__(self) -> None:
        self.running, self.go_on, self.calls = threading.Event(), threading.Event(), 0

    def __call__(self, ids: Any, scores: Any) -> bool:
        self.calls += 1
        if self.calls == 1:
            self.running.set()
            self.go_on.wait(20)
        return False


def test_one_stream_in_two_threads_is_one_clear_error() -> None:
    decoder, waiting = pair(), Waiting()
    expected = decoder.generate(PROMPT, max_new_tokens=20)
    stream = decoder.stream(PROMPT, max_new_tokens=20, stopping_criteria=[waiting])
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, stream)
        assert waiting.running.wait(20)
        with pytest.raises(anydraft.ArgumentError, match="one reader at a time"):
            next(stream)
        waiting.go_on.set()
        said = first.result().token_ids
    for event in stream:  # in turn, any thread may read it
        said = [*said, *event.token_ids]
    assert said == expected.token_ids


def test_a_stream_that_is_read_from_within_its_own_round() -> None:
    decoder = pair()
    streams: list[Any] = []

    def greedy(ids: Any, scores: Any) -> bool:
        next(streams[0])
        return False

    streams.append(decoder.stream(PROMPT, max_new_tokens=8, stopping_criteria=[greedy]))
    with pytest.raises(anydraft.ArgumentError, match="one reader at a time"):
        next(streams[0])
    with ThreadPoolExecutor(1) as pool:  # the lock is free again
        assert pool.submit(next, streams[0], None).result() is None


def test_one_speculator_in_four_threads() -> None:
    decoder = pair()
    expected = decoder.generate(PROMPT, max_new_tokens=16).token_ids
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: decoder.generate(PROMPT, max_new_tokens=16).token_ids, range(12)))
    assert said == [expected] * 12


@pytest.mark.parametrize(
    "tokenizers",
    [
        (small.byte_fallback(), small.byte_level()),
        (byte_tokenizers.as_tiktoken(), byte_tokenizers.byte_level("he")),
    ],
    ids=["transformers", "tiktoken"],
)
def test_a_bridge_pickles(tokenizers: Any) -> None:
    bridge = anydraft.Bridge(*tokenizers, to_draft=[(1, 1)])
    before = pickle.loads(pickle.dumps(bridge))
    bridge.session()
    after = pickle.loads(pickle.dumps(bridge))
    for copy in (before, after):
        assert copy.fingerprints == bridge.fingerprints
        assert copy.coverage() == bridge.coverage()
        assert copy.pairs() == bridge.pairs()
        assert copy.usage("hello") == bridge.usage("hello")
        assert copy.session(prompt=[0]).commit([1], []) == bridge.session(prompt=[0]).commit([1], [])


def test_a_bridge_of_what_cannot_be_read_again_is_refused() -> None:
    bridge = anydraft.Bridge(small.byte_fallback(), small.byte_level())
    made = anydraft.Bridge(bridge.target, bridge.draft)
    with pytest.raises(anydraft.TokenizerError, match="to be pickled"):
        pickle.dumps(made)


def test_a_speculator_pickles_and_a_running_decode_does_not() -> None:
    decoder = small.speculator(num_draft_tokens=4)  # models of its own: see docs/processes.md on hooks
    out = decoder.generate(PROMPT, max_new_tokens=12)
    assert pickle.loads(pickle.dumps(out)) == out
    for running in (decoder.stream(PROMPT), decoder.chat(), decoder.engine.caches()):
        with pytest.raises(anydraft.ArgumentError, match="to be pickled"):
            pickle.dumps(running)
    copy = pickle.loads(pickle.dumps(decoder))
    assert copy.generate(PROMPT, max_new_tokens=12).token_ids == out.token_ids


def raised() -> Iterator[errors.AnydraftError]:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.AnydraftError):
            yield kind("got one; expected another")
    yield RequestError("no such model", status=404, param="model", headers={"Retry-After": "1"})
    yield LawBrokenError("round-trip", "what is written is read", "GPT-2", Finding("differs", {}), "a hint")


@pytest.mark.parametrize("error", list(raised()), ids=lambda error: type(error).__name__)
def test_errors_pickle(error: errors.AnydraftError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)


def test_a_spawned_process_takes_a_bridge_and_gives_its_error_back() -> None:
    bridge = anydraft.Bridge(small.byte_fallback(), small.byte_level())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(forked.usage, bridge, PROMPT).result(120) == (bridge.usage(PROMPT), False)
        with pytest.raises(anydraft.AnydraftError, match="nowhere"):
            pool.submit(forked.refused).result(120)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process() -> None:
    """On one thread it goes on; with more, PyTorch would wait for ever, and it is refused."""
    decoder = pair()
    before = torch.get_num_threads()

    def says() -> str:
        return str(decoder.generate(PROMPT, max_new_tokens=12).token_ids)

    def says_on_one() -> str:
        torch.set_num_threads(1)
        return says()

    expected = says()
    try:
        torch.set_num_threads(2)
        assert says() == expected
        assert "torch.set_num_threads(1) first" in forked.in_a_fork(says)
        assert forked.in_a_fork(says_on_one) == expected
    finally:
        torch.set_num_threads(before)
    assert says() == expected
