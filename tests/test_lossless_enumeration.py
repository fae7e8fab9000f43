"""Every method emits exactly the target's law: all branches of toy worlds, no statistics."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from anydraft.drafting.protocol import Strategy
from anydraft.drafting.string_level import StringLevel
from anydraft.drafting.token_level import TokenLevel
from anydraft.sampling import keep_top_k, to_law
from enumeration import World
from toys import PAIRS, ToyPair

EXACT = 1e-12
METHODS: dict[str, Callable[[ToyPair], Strategy]] = {
    "tli": lambda pair: TokenLevel(pair.table),
    "tli-block": lambda pair: TokenLevel(pair.table, rule="block"),
    "slem": lambda pair: StringLevel(torch.ones(len(pair.draft), dtype=torch.bool)),
}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_the_emitted_law_is_the_targets(method: str, pair: ToyPair, seed: int) -> None:
    world = World(pair, METHODS[method](pair), seed, to_law)
    for horizon in (2, 3):
        for gamma in (1, 2, 3):
            assert world.distance(horizon, gamma) <= EXACT, (horizon, gamma)


@pytest.mark.parametrize("method", METHODS)
def test_a_sharpened_draft_law_changes_nothing(method: str) -> None:
    world = World(PAIRS[0], METHODS[method](PAIRS[0]), 5, lambda logits: keep_top_k(to_law(logits, 0.6), 2))
    assert world.distance(2, 2) <= EXACT


@pytest.mark.parametrize("method", METHODS)
def test_a_broken_draft_changes_nothing(method: str) -> None:
    world = World(PAIRS[0], METHODS[method](PAIRS[0]), 6, lambda logits: to_law(logits) * torch.nan)
    assert world.distance(2, 2) <= EXACT


@pytest.mark.parametrize("method", METHODS)
def test_a_deterministic_draft_changes_nothing(method: str) -> None:
    world = World(PAIRS[2], METHODS[method](PAIRS[2]), 7, lambda logits: to_law(logits, 0))
    assert world.distance(2, 2) <= EXACT
