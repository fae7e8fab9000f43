"""``generate`` with a draft returns what it returns without: ids, stops, streams, structures."""

from __future__ import annotations

import copy
from functools import cache

import pytest

import generate_cases
import real_pair
import trained
from generating import World, assert_same

CASES = generate_cases.cases()
PROMPTS = ["The quick brown", "12345 67", "def fib(n):\n    if n"]
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


@cache
def tiny_world(swap: bool) -> World:
    return World(*trained.pair(swap=swap), PROMPTS, num_draft_tokens=12 if swap else 5)


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_tiny_pair_generates_what_its_target_does(name: str, swap: bool) -> None:
    assert_same(tiny_world(swap), CASES[name], CLOSE)


@cache
def real_world() -> World:
    target, draft = real_pair.model("smollm2"), real_pair.model("gemma3")
    tokenizer = copy.deepcopy(real_pair.tokenizer("smollm2"))
    prompts = ["The capital of France is", "def fib(n):\n    ", "1 2 3 4 5 6 7"]
    return World(
        target, draft, tokenizer, real_pair.tokenizer("gemma3"), prompts, length=12, num_draft_tokens=3
    )


@pytest.mark.real
@pytest.mark.parametrize("name", generate_cases.real_cases())
def test_the_real_pair_generates_what_its_target_does(name: str) -> None:
    assert_same(real_world(), CASES[name], CLOSE)
