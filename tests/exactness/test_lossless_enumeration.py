"""Every method emits exactly the target's law: all branches of toy worlds, no statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from anydraft.sampling.laws import to_law
from anydraft.sampling.rejection import Rule
from cuts import keep_top_k
from enumeration import World
from toy_methods import METHODS, NAMES, Make
from toys import PAIRS, ToyPair

EXACT = 1e-12
each_method = pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


def world(pair: ToyPair, make: Make, rule: Rule, seed: int, *, padding: int = 0, **options: Any) -> World:
    strategy = make(pair, len(pair.target) + padding, rule)
    return World(pair, strategy, seed, padding=padding, **options)


@each_pair
@each_method
def test_the_emitted_law_is_the_targets(make: Make, rule: Rule, pair: ToyPair) -> None:
    toy = world(pair, make, rule, 0)
    for horizon in (2, 3):
        for gamma in (1, 2, 3):
            assert toy.distance(horizon, gamma) <= EXACT, (horizon, gamma)


@pytest.mark.sweep
@each_pair
@each_method
def test_the_emitted_law_is_the_targets_on_more_seeds(make: Make, rule: Rule, pair: ToyPair) -> None:
    for seed in (1, 2, *range(10, 16)):
        toy = world(pair, make, rule, seed)
        for horizon in (2, 3):
            for gamma in (1, 2, 3):
                assert toy.distance(horizon, gamma) <= EXACT, (seed, horizon, gamma)


@pytest.mark.parametrize("limit", [1, 2])
@each_pair
@each_method
def test_a_limit_on_the_candidates_changes_nothing(make: Make, rule: Rule, pair: ToyPair, limit: int) -> None:
    assert world(pair, make, rule, 4, limit=limit).distance(2, 2) <= EXACT


@each_pair
@each_method
def test_a_padded_target_changes_nothing(make: Make, rule: Rule, pair: ToyPair) -> None:
    assert world(pair, make, rule, 8, padding=2).distance(2, 2) <= EXACT


@each_method
@pytest.mark.parametrize(
    "draft_law",
    [
        lambda logits: keep_top_k(to_law(logits, 0.6), 2),
        lambda logits: to_law(logits, 0),
        lambda logits: to_law(logits) * torch.nan,
    ],
    ids=["sharpened", "deterministic", "broken"],
)
def test_any_draft_law_will_do(
    make: Make, rule: Rule, draft_law: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    for pair in PAIRS[:3]:
        assert world(pair, make, rule, 5, draft_law=draft_law).distance(2, 2) <= EXACT


@each_pair
@each_method
def test_float32_is_exact_up_to_its_rounding(make: Make, rule: Rule, pair: ToyPair) -> None:
    assert world(pair, make, rule, 11, dtype=torch.float32).distance(2, 2) <= 2e-6


@each_pair
@each_method
def test_a_target_that_rules_out_most_tokens(make: Make, rule: Rule, pair: ToyPair) -> None:
    def two(logits: torch.Tensor) -> torch.Tensor:
        return keep_top_k(to_law(logits), 2)

    assert world(pair, make, rule, 12, target_law=two).distance(2, 2) <= EXACT
    assert world(pair, make, rule, 12, target_law=two, dtype=torch.float32).distance(2, 2) <= 2e-6


@each_pair
@each_method
def test_temperature_zero_is_the_target_alone(make: Make, rule: Rule, pair: ToyPair) -> None:
    def greedy(logits: torch.Tensor) -> torch.Tensor:
        return to_law(logits, 0)

    for draft_law in (greedy, to_law):
        for dtype in (torch.float32, torch.float64):
            toy = world(pair, make, rule, 13, target_law=greedy, draft_law=draft_law, dtype=dtype)
            emitted = {tokens: p for tokens, p in toy.emitted(3, 2).items() if p > 0}
            assert list(emitted) == [toy.best(3)]


@pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
def test_the_quick_walk_is_the_full_walk(make: Make, rule: Rule) -> None:
    quick, full = (world(PAIRS[0], make, rule, 6, quick=quick).round((1,), 2) for quick in (True, False))
    assert quick.keys() == full.keys()
    assert all(abs(quick[tokens] - full[tokens]) < EXACT for tokens in full)


TOKENS = st.text("ab ", min_size=1, max_size=3).map(str.encode)
VOCABULARIES = st.lists(TOKENS, min_size=2, max_size=5).map(tuple)


@settings(max_examples=40)
@given(VOCABULARIES, VOCABULARIES, st.sampled_from(METHODS), st.integers(0, 99), st.integers(1, 2))
@example((b" ", b"a", b"  "), (b" ", b" a", b"a", b"a"), METHODS[7], 0, 3)
def test_any_two_vocabularies(
    target: tuple[bytes, ...], draft: tuple[bytes, ...], method: tuple[Make, Rule], seed: int, gamma: int
) -> None:
    pair = ToyPair("random", target, draft)
    assume((pair.table >= 0).any())
    make, rule = method
    assert world(pair, make, rule, seed).distance(2, gamma) <= EXACT
