"""Prompt lookup: the index of the text, and the candidates made of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import small
from anydraft import Bridge
from anydraft.proposers.base import DraftContext
from anydraft.proposers.ngram import NgramLookup, _whole
from anydraft.proposers.ngram_index import KEY, LONGEST, LOOKED_AT, Match, NgramIndex
from counting import Work, counted
from toys import ToyModel

PIECES = st.lists(
    st.binary(max_size=12) | st.sampled_from([b"abcdefgh", b"abcdefghi", b"a" * 9]), max_size=20
)


def slowest(text: bytes) -> Match | None:
    """The definition: of the latest places, the longest match; the latest of several."""
    best, key = None, text[-KEY:]
    places = [place for place in range(KEY, len(text)) if text[place - KEY : place] == key]
    for place in places[-LOOKED_AT:]:
        length = 0
        while length < min(LONGEST, place) and text[place - length - 1] == text[len(text) - length - 1]:
            length += 1
        if length >= KEY and (best is None or length >= best.length):
            best = Match(length, place)
    return best


@given(PIECES)
def test_it_finds_the_longest_match(pieces: list[bytes]) -> None:
    ngrams = NgramIndex()
    for piece in pieces:
        ngrams.push(piece)
    text = b"".join(pieces)
    assert len(ngrams) == len(text)
    assert ngrams.find() == slowest(text)


def test_a_short_or_a_missing_match_is_none() -> None:
    assert NgramIndex(b"abcdefg abcdefg").find() is None
    assert NgramIndex(b"").find() is None
    assert NgramIndex(b"abcdefgh, abcdefgh").find() == Match(KEY, 8)


def test_what_followed_repeats_itself_at_the_end() -> None:
    ngrams = NgramIndex(b"the end the end ")
    match = ngrams.find()
    assert match is not None
    assert ngrams.following(match.position, 20) == b"the end the end the "
    assert ngrams.following(0, 3) == b"the"


def test_a_round_does_not_depend_on_the_length_of_the_text() -> None:
    def work(size: int) -> Work:
        ngrams = NgramIndex(b"all work and no play makes jack a dull boy. " * (size // 44))
        with counted() as done:
            for _ in range(20):
                ngrams.push(b"a dull ")
                ngrams.find()
        return done

    short, long = work(2_000), work(200_000)
    assert (long.lines, long.c_calls) == (short.lines, short.c_calls)
    assert not {"find", "rfind", "index", "rindex", "count"} & set(long.c_calls)  # those read the text
    assert long.memory < 20_000


@pytest.mark.parametrize(
    ("text", "whole"),
    [("aé".encode(), "aé".encode()), ("aé".encode()[:-1], b"a"), ("🙂".encode()[:3], b""), (b"", b"")],
)
def test_a_code_point_that_is_cut_is_left_out(text: bytes, whole: bytes) -> None:
    assert _whole(text) == whole


def context(text: bytes, limit: int | None = None) -> DraftContext:
    return DraftContext(
        model=ToyModel(4, 0),
        pending=torch.empty(0, dtype=torch.int64),
        law=lambda logits: logits,
        speller=None,  # type: ignore[arg-type]
        target_device=torch.device("cpu"),
        target_width=4,
        limit=limit,
        ngrams=NgramIndex(text),
    )


@pytest.mark.parametrize("swap", [False, True])
def test_candidates_are_the_targets_own_tokens(swap: bool) -> None:
    sides = small.byte_fallback(), small.byte_level()
    bridge = Bridge(*sides[::-1] if swap else sides)
    strategy = NgramLookup(bridge.target.encode)
    passage = "The quick brown fox jumps over the lazy dog. "
    block = strategy.draft(context((passage + "Ça va. " + passage[:20]).encode()), 6, None)  # type: ignore[arg-type]
    assert len(block.draft_ids) == 0
    assert len(block.candidates) == 6
    assert passage[20:].encode().startswith(bridge.target.decode(block.candidates.tolist()))
    few = strategy.draft(context((passage * 2).encode(), limit=2), 6, None)  # type: ignore[arg-type]
    assert few.candidates.tolist() == bridge.target.encode(passage.encode())[:2]  # type: ignore[index]


def test_without_a_match_nothing_is_proposed() -> None:
    bridge = Bridge(small.byte_fallback(), small.byte_level())
    block = NgramLookup(bridge.target.encode).draft(context(b"nothing twice"), 6, None)  # type: ignore[arg-type]
    assert len(block.candidates) == 0
    verdict = NgramLookup(bridge.target.encode).verify(
        block,
        torch.tensor([[0.0, 1.0]]),
        type("R", (), {"draw": lambda _, law: law.argmax(-1), "coins": lambda _, p: p > 0})(),
    )
    assert verdict.tolist() == [0, 1]
