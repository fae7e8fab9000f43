"""Lengths that depend on the past, and text looked up: the law stays the target's."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from anydraft.memory.lookup import Lookup
from anydraft.memory.memory import Memory
from anydraft.proposers.base import Block, DraftContext, Strategy
from anydraft.proposers.ngram import NgramLookup
from anydraft.proposers.slrs.proposer import ClassCoupling
from anydraft.proposers.tli import TokenLevelBlock, TokenLevelIntersection
from anydraft.sampling.laws import Randomness
from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import Adaptive, Choice
from enumeration import PROMPT, Emitted, World, branches, verdicts
from sampled import one_of
from toy_methods import METHODS, NAMES, Make
from toys import PAIRS, ToyModel, ToyPair

EXACT = 1e-12
CAUGHT = 4e-3
PAIR = {pair.name: pair for pair in PAIRS}
Past = tuple[tuple[int, int, int], ...]
"""Of every round so far: asked, proposed, accepted."""


class PolicyWorld(World):
    """The loop with lengths that a policy chooses from all rounds before; 0 is the target alone."""

    def told(self, prefix: tuple[int, ...], gamma: int) -> dict[tuple[tuple[int, ...], int, int], float]:
        """One round: the law of (tokens emitted, proposed, accepted)."""
        if gamma == 0:
            law = self._law(prefix).tolist()
            return {((token,), 0, 0): p for token, p in enumerate(law)}
        told: dict[tuple[tuple[int, ...], int, int], float] = defaultdict(float)
        for oracle, (block, laws) in branches(partial(self._draft, prefix, gamma)):
            fed = block.candidates.tolist()
            verify = partial(self.strategy.verify, block, laws)
            for chance, accepted, following in verdicts(verify, quick=self.quick):
                told[(*fed[:accepted], following), len(fed), accepted] += oracle.probability * chance
        return dict(told)

    def by(
        self, choose: Callable[[Past], int], horizon: int, prefix: tuple[int, ...] = PROMPT, past: Past = ()
    ) -> Emitted:
        """The law of the first ``horizon`` tokens."""
        if horizon <= 0:
            return {(): 1.0}
        law: Emitted = defaultdict(float)
        asked = choose(past)
        for (tokens, proposed, accepted), chance in self.told(prefix, asked).items():
            now = (*past, (asked, proposed, accepted))
            for more, p in self.by(choose, horizon - len(tokens), prefix + tokens, now).items():
                law[(tokens + more)[:horizon]] += chance * p
        return law

    def off(self, choose: Callable[[Past], int], horizon: int) -> float:
        """Total variation between what the loop emits and the target alone."""
        emitted = self.by(choose, horizon)
        return 0.5 * sum(
            abs(emitted.get(tokens, 0.0) - self._alone(tokens))
            for tokens in itertools.product(range(self.width), repeat=horizon)
        )


def made(pair: ToyPair, make: Make, rule: str, seed: int) -> PolicyWorld:
    return PolicyWorld(pair, make(pair, len(pair.target), rule), seed)  # type: ignore[arg-type]


def greedy_for_more(past: Past) -> int:
    """Longer after success, off for one round after a rejection at the first place."""
    if not past:
        return 1
    _, proposed, accepted = past[-1]
    return 0 if proposed and not accepted else min(1 + accepted, 2)


def warmed() -> Adaptive:
    director = Adaptive(("toy",), 0.1, lengths=range(1, 3))
    for _ in range(2):
        director.observe(None, Round(0, 0, 0, 1, 1, 1, 1.0, 1.0))
    return director


WARM = warmed()


def learnt(past: Past) -> int:
    """The shipped director, in a world where every draft pass takes so long that acceptance decides."""
    director = copy.deepcopy(WARM)
    for asked, proposed, accepted in past:
        draft = 0.45 * asked
        seen = Round(asked, proposed, accepted, accepted + 1, proposed + 1, 1, 1.0, 1 + draft)
        director.observe(Choice("toy", asked) if asked else None, seen)
    choice = director.choose(2, 1, 0)
    return choice.length if choice else 0


@pytest.mark.parametrize("choose", [greedy_for_more, learnt])
@pytest.mark.parametrize("pair", one_of(4, PAIRS[:4]), ids=lambda pair: pair.name)
@pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
def test_a_length_chosen_from_the_past_changes_nothing(
    make: Make, rule: str, pair: ToyPair, choose: Callable[[Past], int]
) -> None:
    assert made(pair, make, rule, 1).off(choose, 3) <= EXACT


def test_the_policy_of_these_tests_does_depend_on_the_past() -> None:
    chosen = {
        learnt(past) for past in [(), ((2, 2, 2),) * 3, ((2, 2, 0),) * 3, ((1, 1, 0), (1, 1, 0), (0, 0, 0))]
    }
    assert len(chosen) > 1


class Discard(TokenLevelIntersection):
    """Looks at the drafted token's own probability, drops it if that is low, and keeps q."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        block = super().draft(context, gamma, randomness)
        sure = [bool(law[d] > 0.4) for law, d in zip(block.laws, block.draft_ids, strict=True)]
        kept = [*sure, False].index(False)
        return TokenLevelBlock(block.draft_ids, block.candidates[:kept], block.laws[:kept])


class LastForItsOwn(ClassCoupling):
    """Makes a token the last one for its own probability: class coupling treats the last one otherwise."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> Block:
        first = self.block(self._drawn(context, 1, randomness), context)
        if bool(self._one.laws[0, self._one.ids[0]] < 0.4) or gamma == 1:
            return first
        pending = dataclasses.replace(context, pending=self._one.ids)
        more = self._drawn(pending, gamma - 1, randomness, keep=True)
        return self.block(more, context)

    def _drawn(self, context: DraftContext, gamma: int, randomness: Randomness, keep: bool = False):  # type: ignore[no-untyped-def]
        from anydraft.proposers.base import Drawn
        from anydraft.proposers.draw import draw_tokens

        drawn = draw_tokens(context, gamma, randomness, self.allowed)
        if keep:
            return Drawn(torch.cat((self._one.ids, drawn.ids)), torch.cat((self._one.laws, drawn.laws)))
        self._one = drawn
        return drawn


@pytest.mark.parametrize(
    ("bug", "name"),
    [
        (lambda pair: Discard(pair.table), "duplicates"),
        (lambda pair: LastForItsOwn(pair.tables, len(pair.target)), "spaces"),
    ],
    ids=["discard", "last for its own"],
)
def test_looking_at_what_was_drawn_is_caught(bug: Callable[[ToyPair], Strategy], name: str) -> None:
    distances = [World(PAIR[name], bug(PAIR[name]), seed).distance(2, 2) for seed in range(3)]
    assert max(distances) > CAUGHT


@pytest.mark.parametrize("seen", ["in the text", "in the memory"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_text_that_is_looked_up_changes_nothing(pair: ToyPair, seen: str) -> None:
    letters = b"".join(pair.target[:3])
    lookup = Lookup((letters * 8)[:17])
    if seen == "in the memory":
        memory = Memory()
        memory.add(letters * 20)
        lookup = Lookup((letters * 8)[:8], memory)

    class Looking(NgramLookup):
        def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> Block:
            found = dataclasses.replace(context, looked_up=lookup.continuations(99))
            return super().draft(found, gamma, randomness)

    world = World(pair, Looking(pair.encode_target), 3)
    assert world.distance(2, 3) <= EXACT
    assert world.tokens_per_round(3) > 1


class Trimmed(ToyModel):
    """A draft with half of its output head."""

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        logits = super().advance(ids, keep)
        return logits.index_fill(-1, torch.arange(1, self.vocab_size, 2), -torch.inf)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
@pytest.mark.parametrize(("make", "rule"), METHODS, ids=NAMES)
def test_a_trimmed_head_changes_nothing(make: Make, rule: str, pair: ToyPair) -> None:
    strategy = make(pair, len(pair.target), rule)  # type: ignore[arg-type]
    world = World(pair, strategy, 2)
    world.draft = Trimmed(world.draft.vocab_size, 102)
    assert world.distance(2, 2) <= EXACT
