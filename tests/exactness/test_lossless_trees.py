"""A tree of candidates changes no law: every tree of some size, every outcome of chance, and the shipped loop.

The mistakes that trees invite are made on purpose, and must be far from the target's law.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from anydraft.decoding.trees import own_tokens, walk
from anydraft.sampling.laws import Randomness
from cuts import keep_top_k
from enumeration import Emitted, EnumeratingRandomness, branches
from loop_world import LoopWorld
from placed import DEVICE
from test_lossless_controls import CAUGHT
from toys import ToyModel

EXACT = 1e-12
WIDTH = 3
Trees = Callable[[tuple[int, ...]], tuple[list[int], list[int]]]
"""From a text to the candidates and the parents of the tree that follows it."""
Round = Callable[[Tensor, list[int], list[int], Randomness], tuple[list[int], int]]
"""From laws ``[k + 1, V]``, candidates, parents and chance to the path that held, and the id after it."""


def shipped(laws: Tensor, candidates: list[int], parents: list[int], chance: Randomness) -> Any:
    return walk(candidates, parents, own_tokens(laws, chance).tolist())


class Decode:
    """A target that is shown trees, round after round: the law of what it emits."""

    def __init__(self, trees: Trees, verify: Round = shipped, *, seed: int = 0, law: Any = None) -> None:
        self.target = ToyModel(WIDTH, seed)
        self.trees, self.verify = trees, verify
        self.processed = law or (lambda logits: logits.softmax(-1))
        self._rounds: dict[tuple[int, ...], Emitted] = {}

    def laws(self, text: tuple[int, ...], candidates: Sequence[int], parents: Sequence[int]) -> Tensor:
        paths = [text]
        for token, parent in zip(candidates, parents, strict=True):
            paths.append((*paths[parent], token))
        return torch.stack([self.law(path) for path in paths])

    def law(self, text: tuple[int, ...]) -> Tensor:
        self.target.crop(0)
        return self.processed(self.target.advance(torch.tensor(text, device=DEVICE))[0])  # type: ignore[no-any-return]

    def round(self, text: tuple[int, ...]) -> Emitted:
        if text not in self._rounds:
            candidates, parents = self.trees(text)
            laws = self.laws(text, candidates, parents)
            found: Emitted = defaultdict(float)
            for oracle, (path, following) in branches(partial(self.verify, laws, candidates, parents)):
                found[(*(candidates[i] for i in path), following)] += oracle.probability
            self._rounds[text] = found
        return self._rounds[text]

    def emitted(self, text: tuple[int, ...], horizon: int) -> Emitted:
        found: Emitted = defaultdict(float)
        for said, p in self.round(text).items():
            if len(said) >= horizon:
                found[said[:horizon]] += p
                continue
            for more, q in self.emitted((*text, *said), horizon - len(said)).items():
                found[(*said, *more)] += p * q
        return found

    def distance(self, horizon: int) -> float:
        found = self.emitted((1,), horizon)
        alone = {}
        for said in itertools.product(range(WIDTH), repeat=horizon):
            laws = [self.law((1, *said[:i])) for i in range(horizon)]
            alone[said] = math.prod(float(law[token]) for law, token in zip(laws, said, strict=True))
        return 0.5 * sum(abs(found.get(said, 0.0) - p) for said, p in alone.items())


def shapes(size: int) -> list[tuple[list[int], list[int]]]:
    """All trees of so many candidates, without twins."""
    found = []
    for parents in itertools.product(*(range(i + 1) for i in range(size))):
        for tokens in itertools.product(range(WIDTH), repeat=size):
            if len({*zip(parents, tokens, strict=True)}) == size:
                found.append((list(tokens), list(parents)))
    return found


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_tree(size: int) -> None:
    for tree in shapes(size):
        assert Decode(lambda _, tree=tree: tree).distance(2) <= EXACT, tree  # type: ignore[misc]


def test_a_tree_for_every_text() -> None:
    """Deeper ones, another after each text."""
    every = shapes(4)
    for seed in range(4):

        def trees(text: tuple[int, ...], seed: int = seed) -> tuple[list[int], list[int]]:
            return every[hash((seed, text)) % len(every)]

        assert Decode(trees, seed=seed).distance(3) <= EXACT
        assert (
            Decode(trees, seed=seed, law=lambda logits: keep_top_k(logits.softmax(-1), 2)).distance(3)
            <= EXACT
        )


# Mistakes.

BROAD = ([0, 1, 0, 2], [0, 0, 1, 1])


def chosen_by_the_draw(laws: Tensor, candidates: list[int], parents: list[int], chance: Randomness) -> Any:
    """Leaves out a candidate because of what was drawn behind it."""
    own = own_tokens(laws, chance).tolist()
    path, following = walk(candidates, parents, own)
    for i, place in enumerate(path):
        if own[place + 1] == 0:
            return path[:i], candidates[place]
    return path, following


def siblings(
    laws: Tensor, candidates: list[int], parents: list[int], chance: Randomness, *, renormalised: bool
) -> Any:
    """Asks one sibling after the other with a coin, and draws from what is left of the law."""
    place, path = 0, []
    while True:
        left = laws[place].clone()
        held = None
        for i, parent in enumerate(parents):
            if parent != place:
                continue
            total = left.sum() if renormalised else 1.0
            if bool(chance.coins((left[candidates[i]] / total)[None])):
                held = i
                break
            left[candidates[i]] = 0.0
        if held is None:
            return path, int(chance.draw((left / left.sum())[None]))
        path.append(held)
        place = held + 1


def twins_counted_twice(laws: Tensor, candidates: list[int], parents: list[int], chance: Randomness) -> Any:
    """Gives a candidate that is there twice two chances by the same law."""
    for i, (token, parent) in enumerate(zip(candidates, parents, strict=True)):
        if parent == 0 and bool(chance.coins(laws[0, token][None])):
            return [i], int(chance.draw(laws[i + 1][None]))
    rest = laws[0].clone()
    rest[[token for token, parent in zip(candidates, parents, strict=True) if parent == 0]] = 0.0
    return [], int(chance.draw((rest / rest.sum())[None]))


def another_path(laws: Tensor, candidates: list[int], parents: list[int], chance: Randomness) -> Any:
    """Reads the law behind a candidate where that of its elder sibling is."""
    return walk(candidates, parents, own_tokens(laws[[0, 1, 1, 3, 4]], chance).tolist())


@pytest.mark.parametrize(
    ("bug", "tree"),
    [
        (chosen_by_the_draw, BROAD),
        (partial(siblings, renormalised=False), BROAD),
        (twins_counted_twice, ([0, 0], [0, 0])),
        (another_path, BROAD),
    ],
    ids=["chosen by the draw", "not renormalised", "twins twice", "another path"],
)
def test_mistakes_are_caught(bug: Round, tree: Any) -> None:
    assert max(Decode(lambda _: tree, bug, seed=seed).distance(3) for seed in range(3)) > CAUGHT


def test_the_control_without_its_mistake_is_exact() -> None:
    right = partial(siblings, renormalised=True)
    assert max(Decode(lambda _: BROAD, right, seed=seed).distance(3) for seed in range(3)) <= EXACT


# The shipped loop, with a real model's passes over trees.


def test_the_loop_with_trees() -> None:
    world = LoopWorld(method="tree", num_draft_tokens=1)
    assert world.distance(3) <= EXACT
    assert world.broad > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_the_loop_with_larger_trees(seed: int) -> None:
    world = LoopWorld(seed, target=("ab", "ba"), draft=("bb",), method="tree", num_draft_tokens=2)
    assert world.distance(2) <= EXACT
    assert world.broad > 0


def test_rows_of_one_pass_draft_lines() -> None:
    world = LoopWorld(method="tree", num_draft_tokens=1, prompts=("ab", "bba"))
    assert world.distance(2) <= EXACT
    assert world.broad == 0


class Misread(EnumeratingRandomness):
    """Every draw twice as sure."""

    def draw(self, law: Tensor) -> Tensor:
        sharp = law**2
        return super().draw(sharp / sharp.sum(-1, keepdim=True))


def test_a_loop_that_draws_otherwise_is_caught() -> None:
    world = LoopWorld(method="tree", num_draft_tokens=1)
    found: dict[Any, float] = defaultdict(float)
    for oracle, rows in branches(partial(world._run, 2), make=Misread):
        found[rows] += oracle.probability
    alone = world.alone(world.prompts[0], 2)
    assert 0.5 * sum(abs(found.get((said,), 0.0) - p) for said, p in alone.items()) > CAUGHT
