"""The shipped loop emits exactly the target's law: rows, caches, directors, failures, processors, stops.

Every branch of chance is walked through :func:`anydraft.decoding.loop.decode` with real models in
float64. What is
compared with is the model itself, one token after the other without a cache.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, RepetitionPenaltyLogitsProcessor, TopKLogitsWarper

import anydraft
from anydraft.decoding.stopping import Prefix
from anydraft.proposers import draw
from anydraft.proposers.base import Block, DraftContext, Drawn
from anydraft.proposers.pushforward import Pushforward, PushforwardBlock
from anydraft.proposers.tli import TokenLevelBlock, TokenLevelIntersection
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import NO_TOKEN
from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import LOOKUP, Adaptive, Choice, Fixed
from loop_world import LoopWorld
from placed import DEVICE, DEVICES
from sampled import one_of
from test_lossless_controls import (
    BonusAfterRejection,
    Sharpened,
    WrongColumns,
)

EXACT = 1e-12
CAUGHT = 4e-3
METHODS = [
    ("tli", "token"),
    ("tli", "block"),
    ("pushforward", "token"),
    ("pushforward", "block"),
    ("slrs", "token"),
    ("slrs", "block"),
    ("slem", None),
    ("lookup", None),
]
each_method = pytest.mark.parametrize(("method", "rule"), METHODS)


@each_method
def test_one_row(method: str, rule: Any) -> None:
    assert LoopWorld(method=method, rule=rule).distance(2) <= EXACT
    assert LoopWorld(1, method=method, rule=rule, num_draft_tokens=1).distance(3) <= EXACT


@pytest.mark.parametrize("method", ["tli", "pushforward"])
def test_two_draft_tokens_and_three_to_emit(method: str) -> None:
    assert LoopWorld(2, method=method).distance(3) <= EXACT


@pytest.mark.sweep
@each_method
@pytest.mark.parametrize("seed", range(3, 6))
def test_more_worlds(method: str, rule: Any, seed: int) -> None:
    vocabularies = {"target": ("ab", "ba"), "draft": ("bb", "bba")}
    assert LoopWorld(seed, method=method, rule=rule).distance(3) <= EXACT
    assert LoopWorld(seed, method=method, rule=rule, **vocabularies).distance(2) <= EXACT  # type: ignore[arg-type]


@pytest.mark.parametrize("methods", [("slrs", "tli"), ("slem",)])
def test_lengths_and_methods_that_are_learnt(methods: tuple[str, ...]) -> None:
    """What ``"auto"`` is in a decode with a seed, for a draft that costs little."""
    world = LoopWorld(
        director=lambda: Adaptive((LOOKUP, *methods), 0.02, nominal=True),
        draft=(),
        processors=PROCESSORS["cut"],
        prompts=["abbaabbaabba"],
    )
    assert world.distance(6) <= EXACT
    assert world.drafted > 0


@pytest.mark.parametrize(
    ("director", "horizon"),
    [(lambda: Fixed(LOOKUP, 2), 4), (lambda: Adaptive((LOOKUP, "slem"), 0.02, nominal=True), 6)],
    ids=["always", "learnt"],
)
def test_candidates_from_a_memory(director: Callable[[], Any], horizon: int) -> None:
    """What other decodes said; in the text itself there is nothing to be found."""
    memory = anydraft.Memory()
    for letters in itertools.product("ab", repeat=8):
        memory.add("abbbaabb" + "".join(letters))
    world = LoopWorld(
        3, director=director, draft=(), processors=PROCESSORS["cut"], prompts=["abbbaabb"], memory=memory
    )
    assert world.distance(horizon) <= EXACT
    assert world.drafted > 0


def test_without_the_memory_there_is_nothing_to_be_found() -> None:
    world = LoopWorld(3, director=lambda: Fixed(LOOKUP, 2), prompts=["abbbaabb"])
    assert world.distance(2) <= EXACT
    assert world.drafted == 0


class Scripted:
    """Draft a block of each kind in turn."""

    def __init__(self, *choices: Choice | None) -> None:
        self.script, self.rounds = choices, 0
        self.methods: Sequence[str] = [c.method for c in choices if c]

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        return self.script[self.rounds % len(self.script)]

    def observe(self, choice: Choice | None, seen: Round) -> None:
        self.rounds += 1


@pytest.mark.parametrize(
    "choices",
    [
        (Choice(LOOKUP, 2), Choice("slrs", 1)),
        (Choice("tli", 1), None, Choice("slem", 1)),
        (Choice("pushforward", 2), Choice(LOOKUP, 1)),
    ],
    ids=lambda choices: "-".join(choice.method if choice else "off" for choice in choices),
)
def test_methods_that_take_turns(choices: tuple[Choice | None, ...]) -> None:
    world = LoopWorld(3, director=lambda: Scripted(*choices), prompts=["abbaabbaabba"])
    assert world.distance(2) <= EXACT


@pytest.mark.parametrize("method", ["tli", "slrs", "pushforward"])
def test_a_batch_with_caches_of_its_own(method: str) -> None:
    world = LoopWorld(method=method, num_draft_tokens=1, prompts=["ab", "bba"])
    assert world.distance(1) <= EXACT


@pytest.mark.sweep
def test_a_batch_over_several_rounds() -> None:
    assert LoopWorld(method="tli", num_draft_tokens=1, prompts=["ab", "bba"]).distance(2) <= EXACT


class Raising:
    """A draft's decoder that fails on a text that ends with a token."""

    def __init__(self, model: Any, token: int) -> None:
        self._model, self._token = model, token

    def __call__(self, *args: Any, **options: Any) -> Any:
        if int(options["input_ids"][0, -1]) == self._token:
            raise RuntimeError("no such page")
        return self._model(*args, **options)


def failing(world: LoopWorld, token: int) -> LoopWorld:
    """The draft raises whenever its last input token is ``token``."""
    make = world.pair.engine.sequences

    def sequences() -> tuple[Any, Any]:
        target, draft = make()
        draft.runner = Raising(draft.runner, token)  # type: ignore[attr-defined]
        return target, draft

    world.pair.engine.sequences = sequences  # type: ignore[method-assign]
    return world


@pytest.mark.parametrize(
    ("method", "rule", "token"), one_of(3, [(*given, token) for given in METHODS[:-1] for token in (0, 1)])
)
def test_a_draft_that_fails_on_what_it_drew(method: str, rule: Any, token: int) -> None:
    draft = ("ba",) if method == "pushforward" else ()
    world = failing(LoopWorld(method=method, rule=rule, draft=draft), token)
    assert world.distance(3) <= EXACT
    assert world.failures > 0


@pytest.mark.parametrize("method", ["tli", "pushforward", "slrs"])
def test_what_a_failing_draft_drew_must_stay(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dropping(*given: Any) -> list[Drawn]:
        nothing = torch.empty(0, dtype=torch.int64)
        return [dataclasses.replace(d, ids=nothing) if d.failure else d for d in drawing(*given)]

    drawing = draw.draw_rows
    monkeypatch.setattr(draw, "draw_rows", dropping)
    assert failing(LoopWorld(method=method, draft=()), 0).distance(3) > CAUGHT


class Once(LogitsProcessor):
    """Keeps a state: every second call forbids the last token."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        return scores if self.calls % 2 else scores.index_fill(-1, input_ids[0, -1:], -torch.inf)


PROCESSORS: dict[str, Callable[[], list[Any]]] = {
    "penalty": lambda: [RepetitionPenaltyLogitsProcessor(1.7)],
    "cut": lambda: [TopKLogitsWarper(2)],
    "state": lambda: [Once()],
    "state and penalty": lambda: [RepetitionPenaltyLogitsProcessor(1.3), Once(), TopKLogitsWarper(3)],
}


@pytest.mark.parametrize("method", ["tli", "slrs", "slem"])
@pytest.mark.parametrize("name", PROCESSORS)
def test_logits_processors(name: str, method: str) -> None:
    assert LoopWorld(4, method=method, processors=PROCESSORS[name]).distance(2) <= EXACT


def test_a_state_that_sees_candidates_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anydraft.models.logits.pure", lambda _: True)
    assert LoopWorld(4, method="tli", processors=PROCESSORS["state"]).distance(3) > CAUGHT


def twice(prefix: Prefix) -> Any:
    """Stops after a token that was said twice in a row."""
    tail = prefix.tail(2)
    return "stop" if len(tail) == 2 and tail[0] == tail[1] else None


@pytest.mark.parametrize(
    ("method", "state"), one_of(3, [(m, s) for s in (False, True) for m in ("tli", "slrs", "slem")])
)
def test_a_rule_that_stops_inside_a_block(method: str, state: bool) -> None:
    processors = PROCESSORS["state" if state else "penalty"]
    assert LoopWorld(5, method=method, rules=[twice], processors=processors).distance(3 - state) <= EXACT


def tables(bridge: anydraft.Bridge) -> Any:
    return torch.from_numpy(bridge.tables.draft_to_target)


def expansion(bridge: anydraft.Bridge) -> tuple[Tensor, Tensor]:
    found = bridge.tables
    return torch.from_numpy(found.expansion_offsets), torch.from_numpy(found.expansion_ids)


def everything(bridge: anydraft.Bridge) -> Tensor:
    return torch.ones(len(bridge.draft), dtype=torch.bool)


class OwnTokenInTheLoop(Pushforward):
    """Takes q of the drawn draft token for the mass of its first target token."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, PushforwardBlock)
        per_candidate = block.draft_ids.repeat_interleave(self._expansion.lengths[block.draft_ids])
        drawn = torch.nn.functional.one_hot(per_candidate, block.weights.shape[-1])[: len(block.weights)]
        return super().verify(dataclasses.replace(block, weights=block.weights * drawn), laws, randomness)


class NoImageInTheLoop(TokenLevelIntersection):
    """Draws tokens without an image too, and takes the target's law, not the residual, after them."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(table, **DEVICES)
        self._images, self.allowed = table.to(DEVICE), torch.ones_like(self.allowed)

    def block(self, drawn: Drawn, context: DraftContext) -> TokenLevelBlock:
        images = self._images[drawn.ids].tolist()
        known = [*images, NO_TOKEN].index(NO_TOKEN)
        candidates = torch.tensor(images[:known], dtype=torch.int64, device=DEVICE)
        return TokenLevelBlock(drawn.ids, candidates, drawn.laws[:known])


class PeekInTheLoop(TokenLevelIntersection):
    """Drops a drafted token for its own low probability, and keeps quiet about it."""

    def block(self, drawn: Drawn, context: DraftContext) -> TokenLevelBlock:
        block = super().block(drawn, context)
        sure = [bool(law[d] > 0.4) for law, d in zip(block.laws, block.draft_ids, strict=True)]
        kept = [*sure, False].index(False)
        return TokenLevelBlock(block.draft_ids, block.candidates[:kept], block.laws[:kept])


class RawInTheLoop(TokenLevelIntersection):
    """Verifies against another law than the token was drawn from."""

    def block(self, drawn: Drawn, context: DraftContext) -> TokenLevelBlock:
        block = super().block(drawn, context)
        raw = block.laws.sqrt()
        return dataclasses.replace(block, laws=raw / raw.sum(-1, keepdim=True))


CONTROLS: list[tuple[str, Callable[[anydraft.Bridge], Any]]] = [
    ("own token", lambda b: OwnTokenInTheLoop(*expansion(b), **DEVICES)),
    ("no image is a bonus", lambda b: NoImageInTheLoop(tables(b))),
    ("peek and discard", lambda b: PeekInTheLoop(tables(b), **DEVICES)),
    ("raw law", lambda b: RawInTheLoop(tables(b), **DEVICES)),
    ("wrong columns", lambda b: WrongColumns(tables(b), **DEVICES)),
    ("wrong columns, block", lambda b: WrongColumns(tables(b), rule="block", **DEVICES)),
    ("bonus after a rejection", lambda b: BonusAfterRejection(everything(b), draft_device=DEVICE)),
    ("sharpened", lambda b: Sharpened(everything(b), draft_device=DEVICE)),
]


@pytest.mark.parametrize(("name", "strategy"), CONTROLS)
def test_the_walk_through_the_loop_catches(name: str, strategy: Callable[[anydraft.Bridge], Any]) -> None:
    assert max(LoopWorld(seed, strategy=strategy).distance(2) for seed in range(2)) > CAUGHT
