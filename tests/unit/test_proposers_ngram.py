"""Prompt lookup: the candidates made of what is found."""

from __future__ import annotations

import pytest
import torch

import small
from anydraft import Bridge
from anydraft.memory.lookup import Lookup
from anydraft.proposers.base import DraftContext
from anydraft.proposers.ngram import NgramLookup, _whole, bytes_for, foreseen
from toys import ToyModel


@pytest.mark.parametrize(
    ("text", "whole"),
    [("aé".encode(), "aé".encode()), ("aé".encode()[:-1], b"a"), ("🙂".encode()[:3], b""), (b"", b"")],
)
def test_a_code_point_that_is_cut_is_left_out(text: bytes, whole: bytes) -> None:
    assert _whole(text) == whole


@pytest.mark.parametrize(
    ("continuation", "emitted", "expected"),
    [
        (b"abcdef", [b"ab", b"cd"], (2, 2)),
        (b"abcdef", [b"ab", b"xd", b"ef"], (1, 2)),
        (b"abcdef", [b"x"], (0, 1)),
        (b"abc", [b"ab", b"cd"], (1, 1)),  # it ends within the second token, of which it tells nothing
        (b"ab", [b"ab", b"", b"cd"], (1, 2)),  # a control token is not proposed
        (b"", [b"ab"], (0, 0)),
        (b"abc", [], (0, 0)),
    ],
)
def test_what_a_continuation_foresaw(
    continuation: bytes, emitted: list[bytes], expected: tuple[int, int]
) -> None:
    assert foreseen(continuation, emitted) == expected


def context(text: bytes, limit: int | None = None) -> DraftContext:
    return DraftContext(
        model=ToyModel(4, 0),
        pending=torch.empty(0, dtype=torch.int64),
        law=lambda logits: logits,
        speller=None,  # type: ignore[arg-type]
        target_device=torch.device("cpu"),
        target_width=4,
        limit=limit,
        looked_up=Lookup(text).continuations(bytes_for(99)),
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
