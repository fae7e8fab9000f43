"""A draft that looks ahead: its laws do not depend on what is drafted between, and the output's are exact."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ahead import PLACES, ToyAhead
from anydraft.proposers import draw
from anydraft.proposers.draw import Draws
from anydraft.sampling.laws import to_law
from cuts import keep_top_k
from enumeration import World
from toy_methods import METHODS, NAMES, Make
from toys import PAIRS, ToyPair

EXACT = 1e-12
CAUGHT = 4e-3
PAIR = {pair.name: pair for pair in PAIRS}
SEED = 4


def world(pair: ToyPair, make: Make, rule: Any, seed: int = SEED, **options: Any) -> World:
    made = World(pair, make(pair, len(pair.target), rule), seed, **options)
    made.draft = ToyAhead(len(pair.draft) + 1, seed + 100)
    return made


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
def test_laws_of_one_pass_change_nothing(make: Make, rule: str, pair: ToyPair) -> None:
    made = world(pair, make, rule)
    assert made.distance(2, 2) <= EXACT
    assert isinstance(made.draft, ToyAhead)
    assert max(made.draft.passes) > len(pair.view((1,)))


@pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
@pytest.mark.parametrize("name", ["partial"])
def test_longer_blocks_go_on_from_what_was_drawn(make: Make, rule: str, name: str) -> None:
    """Two passes: of the second all laws depend on the tokens of the first, and on no other."""
    made = world(PAIR[name], make, rule)
    assert made.distance(2, PLACES + 1) <= EXACT


@pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
def test_processed_laws_and_limits(make: Make, rule: str) -> None:
    cut = world(PAIR["long"], make, rule, draft_law=lambda logits: keep_top_k(to_law(logits), 3), limit=2)
    assert cut.distance(2, 2) <= EXACT


Pass = Callable[[Sequence[Draws]], list[Tensor]]
PASSES: Pass = draw._passes


def the_row_before(rows: Sequence[Draws]) -> list[Tensor]:
    """Takes for the law of a place that of the place before."""
    return [torch.cat((found[:1], found[:-1])) for found in PASSES(rows)]


def given_what_was_drawn(draws: Draws) -> None:
    """Reports the laws that token by token would have had, of tokens that were drawn from one pass."""
    model = copy.copy(draws.context.model)
    model.context = list(model.context)  # type: ignore[attr-defined]
    for place in range(1, len(draws.ids)):
        logits = model.advance(draws.ids[place - 1])
        draws.laws[place] = draw.allowed_law(draws.context, logits[-1], draws.allowed)


class Reported(Draws):
    """Draws by the laws of one pass, and reports others: see :func:`given_what_was_drawn`."""

    def next(self, logits: Tensor) -> None:
        super().next(logits)
        given_what_was_drawn(self)


class Shifted(Draws):
    """Draws each token by its own row, and reports the law of the row before it."""

    def next(self, logits: Tensor) -> None:
        super().next(logits)
        self.laws = [self.laws[0], *self.laws[:-1]]


CONTROLS = [
    k for k, (make, _) in enumerate(METHODS) if make.__name__ in {"token_level", "pushforward", "classes"}
]


@pytest.mark.parametrize("bug", [Reported, Shifted], ids=["given what was drawn", "the row before"])
@pytest.mark.parametrize(("make", "rule"), [METHODS[k] for k in CONTROLS], ids=[NAMES[k] for k in CONTROLS])
def test_other_laws_than_those_drawn_from_are_caught(
    make: Make, rule: str, bug: type[Draws], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "Draws", bug)
    distances = [world(PAIR["duplicates"], make, rule, seed).distance(2, 2) for seed in range(3)]
    assert max(distances) > CAUGHT, distances
    assert min(distances) > 1e-6, distances


def test_a_law_of_another_place_is_a_worse_draft_and_no_other_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn from is what is reported then: exactness never asks which law it is."""
    monkeypatch.setattr(draw, "_passes", the_row_before)
    assert world(PAIR["partial"], *METHODS[0]).distance(2, 2) <= EXACT
