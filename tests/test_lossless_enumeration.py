"""Every method emits exactly the target's law: all branches of toy worlds, no statistics."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from anydraft.drafting.classes import ClassCoupling
from anydraft.drafting.protocol import Strategy
from anydraft.drafting.pushforward import Pushforward
from anydraft.drafting.string_level import StringLevel
from anydraft.drafting.token_level import TokenLevel
from anydraft.sampling import keep_top_k, to_law
from anydraft.verification import Rule
from enumeration import World
from toys import PAIRS, ToyPair

EXACT = 1e-12


def token_level(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return TokenLevel(pair.table, rule=rule)


def string_level(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return StringLevel(torch.ones(len(pair.draft), dtype=torch.bool))


def pushforward(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return Pushforward(pair.tables.offsets, pair.tables.ids, rule=rule)


def pushforward_on_some(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    allowed = (pair.table >= 0) | (torch.arange(len(pair.draft)) % 2 == 0)
    return Pushforward(pair.tables.offsets, pair.tables.ids, allowed=allowed, rule=rule)


def classes(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return ClassCoupling(pair.tables, width, rule=rule)


Make = Callable[[ToyPair, int, Rule], Strategy]
METHODS: list[tuple[Make, Rule]] = [
    (token_level, "token"),
    (token_level, "block"),
    (string_level, "token"),
    (pushforward, "token"),
    (pushforward, "block"),
    (pushforward_on_some, "token"),
    (classes, "token"),
    (classes, "block"),
]
each_method = pytest.mark.parametrize(
    ("make", "rule"), METHODS, ids=[f"{make.__name__}-{rule}" for make, rule in METHODS]
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@each_method
def test_the_emitted_law_is_the_targets(make: Make, rule: Rule, pair: ToyPair) -> None:
    for seed in range(3):
        world = World(pair, make(pair, len(pair.target), rule), seed)
        for horizon in (2, 3):
            for gamma in (1, 2, 3):
                assert world.distance(horizon, gamma) <= EXACT, (seed, horizon, gamma)


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@each_method
def test_a_limit_on_the_candidates_changes_nothing(make: Make, rule: Rule, pair: ToyPair, limit: int) -> None:
    world = World(pair, make(pair, len(pair.target), rule), 4, limit=limit)
    assert world.distance(2, 2) <= EXACT


@each_method
def test_a_padded_target_changes_nothing(make: Make, rule: Rule) -> None:
    for pair in PAIRS:
        world = World(pair, make(pair, len(pair.target) + 2, rule), 8, padding=2)
        assert world.distance(2, 2) <= EXACT


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
        world = World(pair, make(pair, len(pair.target), rule), 5, draft_law)
        assert world.distance(2, 2) <= EXACT


@each_method
def test_the_quick_walk_is_the_full_walk(make: Make, rule: Rule) -> None:
    quick, full = (
        World(PAIRS[0], make(PAIRS[0], 4, rule), 6, quick=quick).round((1,), 2) for quick in (True, False)
    )
    assert quick.keys() == full.keys()
    assert all(abs(quick[tokens] - full[tokens]) < EXACT for tokens in full)
