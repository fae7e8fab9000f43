"""A draft that looks ahead: its laws do not depend on what is drafted between, and the output's are exact."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

import watching
from ahead import PLACES, ToyAhead, gpt2_ahead
from anydraft.models.row import TransformersRow
from anydraft.proposers import draw
from anydraft.proposers.draw import Draws
from anydraft.sampling.laws import to_law
from cuts import keep_top_k
from enumeration import World
from loop_world import PROMPTS, LoopWorld
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


def given_what_was_drawn(draws: Draws) -> None:
    """Reports the laws that token by token would have had, of tokens that were drawn from one pass."""
    model, length = draws.context.model, draws.context.model.length
    for place in range(1, len(draws.ids)):
        logits = model.advance(draws.ids[place - 1])
        draws.laws[place] = draw.allowed_law(draws.context, logits[-1], draws.allowed)
    model.crop(length)


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


BUGS: list[type[Draws]] = [Reported, Shifted]
CONTROLS = [
    k for k, (make, _) in enumerate(METHODS) if make.__name__ in {"token_level", "pushforward", "classes"}
]


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize(("make", "rule"), [METHODS[k] for k in CONTROLS], ids=[NAMES[k] for k in CONTROLS])
def test_other_laws_than_those_drawn_from_are_caught(
    make: Make, rule: str, bug: type[Draws], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw, "Draws", bug)
    distances = [world(PAIR["duplicates"], make, rule, seed).distance(2, 2) for seed in range(3)]
    assert max(distances) > CAUGHT, distances
    assert min(distances) > 1e-6, distances


class AheadLoop(LoopWorld):
    """The shipped loop with a model of transformers that looks ahead."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        self.draft = gpt2_ahead(options.get("draft", ("ba",)), seed + 50)
        super().__init__(seed, draft_model=self.draft, **options)

    def distance(self, horizon: int) -> float:
        with watching.fed(self.draft) as fed:
            found = super().distance(horizon)
        read = [ids for ids in fed.ids if self.draft.config.anydraft_masks[0] in ids]
        assert read, "masks must be read"
        assert all(ids[-1] in self.draft.config.anydraft_masks for ids in read)
        return found


@pytest.mark.parametrize(("method", "rule"), [("tli", "token"), ("tli", "block"), ("pushforward", "block")])
def test_the_loop(method: str, rule: Any) -> None:
    """With a model's passes and its cache, whose masks are forgotten after each; blocks of two."""
    assert AheadLoop(method=method, rule=rule).distance(3) <= EXACT


@pytest.mark.parametrize("rule", ["token", "block"])
def test_the_loop_with_classes(rule: str) -> None:
    """And, as below, with fewer tokens, which leaves fewer outcomes to walk."""
    assert AheadLoop(method="slrs", rule=rule, target=("ab",), draft=()).distance(3) <= EXACT


def test_the_loop_with_exact_match() -> None:
    assert AheadLoop(method="slem", target=(), draft=()).distance(3) <= EXACT


def test_the_loop_with_longer_blocks() -> None:
    """Blocks of three from two passes; of the second all laws depend on what the first brought."""
    assert AheadLoop(method="tli", num_draft_tokens=3, target=(), draft=()).distance(4) <= EXACT


@pytest.mark.parametrize(("method", "rule"), [("tli", "token"), ("tli", "block"), ("slem", "token")])
def test_the_loop_with_a_draft_that_fails_in_its_second_pass(
    method: str, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pass that gave two tokens, which stay."""
    begun, passed = Draws.__post_init__, draw.look_ahead
    count = [0, 0]

    def begin(self: Draws) -> None:
        count[0] = 0
        begun(self)

    def failing(*given: Any) -> list[Tensor]:
        count[0] += 1
        if count[0] == 2:
            count[1] += 1
            raise RuntimeError("out of memory")
        return passed(*given)

    monkeypatch.setattr(Draws, "__post_init__", begin)
    monkeypatch.setattr(draw, "look_ahead", failing)
    world = AheadLoop(method=method, rule=rule, num_draft_tokens=3, target=(), draft=())
    assert world.distance(4) <= EXACT
    assert count[1] > 0


@pytest.mark.parametrize("method", ["slem", "tli"])
def test_the_loop_with_trees(method: str) -> None:
    world = AheadLoop(method=method, tree="auto", target=(), draft=())
    assert world.distance(3) <= EXACT
    assert world.broad > 0


@pytest.mark.sweep  # minutes; that rows of a pass have the laws that each has alone: test_models_ahead.py
def test_rows_look_ahead_in_one_pass() -> None:
    world = AheadLoop(method="tli", prompts=PROMPTS, target=(), draft=())
    assert isinstance(world.pair.engine.draft_sequences(2)[0], TransformersRow)
    assert world.distance(3) <= EXACT


@pytest.mark.parametrize("bug", BUGS)
def test_the_loop_with_other_laws_is_caught(bug: type[Draws], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "Draws", bug)
    distances = [AheadLoop(seed, method="tli").distance(3) for seed in range(2)]
    assert max(distances) > CAUGHT, distances
    assert min(distances) > 1e-6, distances
