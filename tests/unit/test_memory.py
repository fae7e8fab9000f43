"""What is remembered, for whom, and how it is looked up."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anydraft import ArgumentError, Memory
from anydraft.memory.lookup import Continuation, Lookup
from anydraft.memory.memory import PROCESS, check_memory, chosen

KEY, LONGEST, LOOKED_AT = 8, 64, 32
PIECES = st.lists(
    st.binary(max_size=12) | st.sampled_from([b"abcdefgh", b"abcdefghi", b"a" * 9]), max_size=20
)


def slowest(text: bytes) -> list[tuple[int, int]]:
    """The definition: of the latest places, how long the match is and where the text went on."""
    key = text[-KEY:]
    places = [place for place in range(KEY, len(text)) if text[place - KEY : place] == key]
    found = []
    for place in places[-LOOKED_AT:]:
        length = 0
        while length < min(LONGEST, place) and text[place - length - 1] == text[len(text) - length - 1]:
            length += 1
        found.append((length, place))
    return found


@given(PIECES)
def test_it_finds_what_followed_the_longest_match(pieces: list[bytes]) -> None:
    lookup = Lookup()
    for piece in pieces:
        lookup.push(piece)
    text = b"".join(pieces)
    assert len(lookup) == len(text)
    places, found = slowest(text), lookup.continuations(6, 99)
    assert sum(one.places for one in found) == len(places)
    if found:
        longest = max(length for length, _ in places)
        runs = [(text[place:] * 6)[:6] for length, place in places if length == longest]
        assert found[0].length == longest
        assert found[0].data in runs
        often = Counter((text[place:] * 6)[:6] for _, place in places)
        assert found[0].data == runs[-1]  # the latest
        others = [one.places for one in found[1:] if one.length == longest]
        assert others == sorted(others, reverse=True)
        assert all(one.places == often[one.data] for one in found)


def test_of_several_as_long_the_latest_is_first() -> None:
    lookup = Lookup(b"function one, function two, function ")
    assert lookup.continuations(3, 9) == [Continuation(b"two", 11, 1), Continuation(b"one", 9, 1)]
    lookup = Lookup(b", function one, function two, function ")
    assert lookup.continuations(3, 9) == [Continuation(b"two", 11, 1), Continuation(b"one", 11, 1)]


def test_what_followed_the_end_of_the_text_repeats_itself() -> None:
    assert Lookup(b"the end the end ").continuations(20)[0].data == b"the end the end the "
    assert Lookup(b"the end").continuations(20) == []


def test_the_memory_is_asked_too_and_the_text_goes_first() -> None:
    memory = Memory()
    memory.add("They say that the end is near, and that the end is far.")
    assert Lookup(b"that the end is ", memory).continuations(4) == [Continuation(b"far.", 16, 1)]
    found = Lookup(b"that the end is not, that the end is ", memory).continuations(4, 9)
    assert [one.data for one in found] == [b"far.", b"near", b"not,"]  # " that" is longer in the memory
    found = Lookup(b"but the end is not, but the end is ", memory).continuations(4, 9)
    assert [one.data for one in found] == [b"not,", b"far.", b"near"]
    found = Lookup(b"* the end is not, # the end is ", memory).continuations(4, 9)
    assert [one.data for one in found] == [b"not,", b"far.", b"near"]  # as long: the text's own


def test_it_is_bounded_and_the_oldest_is_forgotten() -> None:
    memory = Memory(4096)
    for i in range(500):
        memory.add(f"This is line number {i:05}, and there are many of them.")
        assert memory.bytes <= 4096
    assert len(memory) <= 4096 // 50 + 1
    assert Lookup(b"This is line number 00499", memory).continuations(4)[0].data == b", an"
    assert Lookup(b"line number 00001", memory).continuations(4) == []
    before = memory._core.allocated()
    for i in range(500):
        memory.add(f"That is line number {i:05}, and there are more of them.")
    assert memory._core.allocated() <= before + 4096


def test_texts_that_grow_are_kept_once() -> None:
    memory = Memory()
    text = "".join(f"{i * i}, " for i in range(1000))
    for end in range(200, len(text), 333):
        memory.add(text[:end])
        assert (len(memory), memory.bytes) == (1, end)
    memory.add(text[: len(text) // 2])
    assert len(memory) == 1


def test_clear_forgets_everything() -> None:
    memory = Memory()
    memory.add(b"something to be forgotten")
    memory.clear()
    assert (len(memory), memory.bytes, bool(memory)) == (0, 0, True)
    assert Lookup(b"something to be ", memory).continuations(9) == []


@pytest.mark.parametrize("size", [0, 1023, 2**30 + 1, 2.0, "16MB", None])
def test_a_size_outside_its_domain_is_refused(size: Any) -> None:
    with pytest.raises(ArgumentError, match="max_bytes"):
        Memory(size)


@pytest.mark.parametrize("text", [None, 3, ["text"], "\ud800 lone surrogate"])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(ArgumentError, match="remember"):
        Memory().add(text)


def test_which_memory_a_decode_has() -> None:
    own = Memory()
    assert chosen("process", "measured", "greedy") is PROCESS
    assert chosen("process", "nominal", "greedy") is None  # the same on every run, whatever was said before
    assert chosen("process", "measured", "sampling") is None
    assert chosen("off", "measured", "greedy") is None
    assert chosen(own, "measured", "sampling") is own
    assert chosen(own, "nominal", "greedy") is own
    for wrong in (None, "on", True, b"process"):
        with pytest.raises(ArgumentError, match="memory="):
            check_memory(wrong)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_their_own(again: Any) -> None:
    memory = Memory(2048)
    memory.add("something that was said")
    other = again(memory)
    other.add("something else that was said")
    assert (len(memory), len(other), other.max_bytes) == (1, 2, 2048)


def test_threads_share_it() -> None:
    memory, failed = Memory(1 << 14), []

    def work(name: int) -> None:
        try:
            for i in range(200):
                text = f"thread {name} has the number {i}, thread {name} has the number {i} still"
                memory.add(text)
                found = Lookup(text[:30].encode(), memory).continuations(8, 4)
                assert all(len(one.data) <= 8 for one in found)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)
    assert memory.bytes <= 1 << 14


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_meanwhile_does_not_hang() -> None:
    memory, done = Memory(), threading.Event()
    text = os.urandom(200_000)

    def add() -> None:
        while not done.is_set():
            memory.add(os.urandom(64) + text)

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                memory.add(b"said in the child, said in the child")
                os._exit(len(Lookup(b"said in the child", memory).continuations(4)))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    finally:
        done.set()
        thread.join()
