"""A tree of candidates changes no law: every small tree, every outcome of chance, and the shipped loop.

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
from transformers import TopKLogitsWarper

from anydraft.decoding.trees import own_tokens, walk
from anydraft.models.batch import TransformersBatch
from anydraft.models.joint import NO_TREES
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import verify_tokens
from cuts import keep_top_k
from enumeration import Emitted, EnumeratingRandomness, branches
from loop_world import LoopWorld
from placed import DEVICE
from sampled import one_of
from test_lossless_controls import CAUGHT
from toys import ToyModel

EXACT = 1e-12
WIDTH = 3
Trees = Callable[[tuple[int, ...]], tuple[list[int], list[int], int]]
"""From a text to the candidates and the parents of the tree that follows it, and how many are its line."""
Round = Callable[[Tensor, list[int], list[int], int, Randomness], tuple[list[int], int]]
"""From laws ``[k + 1, V]``, such a tree and chance to the path that held, and the id after it."""


def shipped(
    laws: Tensor, candidates: list[int], parents: list[int], line: int, chance: Randomness
) -> tuple[list[int], int]:
    held = verify_tokens(laws[: line + 1], None, torch.tensor(candidates[:line], dtype=torch.int64), chance)
    own = own_tokens(laws[line + 1 :], chance).tolist() if line < len(candidates) else []
    return walk(candidates, parents, *held.tolist(), own)


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
            candidates, parents, line = self.trees(text)
            laws = self.laws(text, candidates, parents)
            found: Emitted = defaultdict(float)
            verify = partial(self.verify, laws, candidates, parents, line)
            for oracle, (path, following) in branches(verify):
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


def shapes(size: int) -> list[tuple[list[int], list[int], int]]:
    """All trees of so many candidates, without twins, with every line that they may begin with."""
    ways = itertools.product(*(range(i + 1) for i in range(size)))
    return [
        (list(tokens), list(parents), line)
        for parents in ways
        for tokens in itertools.product(range(WIDTH), repeat=size)
        if len({*zip(parents, tokens, strict=True)}) == size
        for line in range(size + 1)
        if list(parents[:line]) == list(range(line))
    ]


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_tree(size: int) -> None:
    for tree in shapes(size):
        assert Decode(lambda _, tree=tree: tree).distance(2) <= EXACT, tree  # type: ignore[misc]


def test_a_tree_for_every_text() -> None:
    """Deeper ones, another after each text."""
    every, two = shapes(4), lambda logits: keep_top_k(logits.softmax(-1), 2)
    for seed in range(4):

        def trees(text: tuple[int, ...], seed: int = seed) -> tuple[list[int], list[int], int]:
            return every[hash((seed, text)) % len(every)]

        assert Decode(trees, seed=seed).distance(3) <= EXACT
        assert Decode(trees, seed=seed, law=two).distance(3) <= EXACT


# Mistakes.

BROAD = ([0, 1, 0, 2], [0, 0, 1, 1], 0)


def chosen_by_the_draw(
    laws: Tensor, candidates: list[int], parents: list[int], line: int, chance: Randomness
) -> tuple[list[int], int]:
    """Leaves out a candidate because of what was drawn behind it."""
    first, *own = own_tokens(laws, chance).tolist()
    path, following = walk(candidates, parents, 0, first, own)
    for i, place in enumerate(path):
        if own[place] == 0:
            return path[:i], candidates[place]
    return path, following


def siblings(
    laws: Tensor,
    candidates: list[int],
    parents: list[int],
    line: int,
    chance: Randomness,
    *,
    renormalised: bool,
) -> tuple[list[int], int]:
    """Asks one sibling after the other with a coin, and draws from what is left of the law."""
    path: list[int] = []
    while True:
        place = path[-1] + 1 if path else 0
        left = laws[place].clone()
        held = None
        for i, parent in enumerate(parents):
            if parent == place:
                total = left.sum() if renormalised else 1.0
                if bool(chance.coins((left[candidates[i]] / total)[None])):
                    held = i
                    break
                left[candidates[i]] = 0.0
        if held is None:
            return path, int(chance.draw((left / left.sum())[None]))
        path.append(held)


def twins_counted_twice(
    laws: Tensor, candidates: list[int], parents: list[int], line: int, chance: Randomness
) -> tuple[list[int], int]:
    """Gives a candidate that is there twice two chances by the same law."""
    firsts = [i for i, parent in enumerate(parents) if parent == 0]
    for i in firsts:
        if bool(chance.coins(laws[0, candidates[i]][None])):
            return [i], int(chance.draw(laws[i + 1][None]))
    rest = laws[0].clone()
    rest[[candidates[i] for i in firsts]] = 0.0
    return [], int(chance.draw((rest / rest.sum())[None]))


def another_path(
    laws: Tensor, candidates: list[int], parents: list[int], line: int, chance: Randomness
) -> tuple[list[int], int]:
    """Reads the law behind a candidate where that of its elder sibling is."""
    return shipped(laws[[0, 1, 1, 3, 4]], candidates, parents, line, chance)


def recovered_again(
    laws: Tensor, candidates: list[int], parents: list[int], line: int, chance: Randomness
) -> tuple[list[int], int]:
    """After a rejection draws from the target's law, and goes on from there."""
    held = verify_tokens(laws[: line + 1], None, torch.tensor(candidates[:line]), chance)
    own = own_tokens(laws, chance).tolist()
    accepted = int(held[0])
    return walk(candidates, parents, accepted, own[accepted], own[line + 1 :])


@pytest.mark.parametrize(
    ("bug", "tree"),
    [
        (chosen_by_the_draw, BROAD),
        (partial(siblings, renormalised=False), BROAD),
        (twins_counted_twice, ([0, 0], [0, 0], 0)),
        (another_path, BROAD),
        (recovered_again, ([0, 1, 2], [0, 0, 0], 1)),
    ],
    ids=["chosen by the draw", "not renormalised", "twins twice", "another path", "recovered again"],
)
def test_mistakes_are_caught(bug: Round, tree: Any) -> None:
    assert max(Decode(lambda _: tree, bug, seed=seed).distance(3) for seed in range(3)) > CAUGHT


def test_the_control_without_its_mistake_is_exact() -> None:
    right = partial(siblings, renormalised=True)
    assert max(Decode(lambda _: BROAD, right, seed=seed).distance(3) for seed in range(3)) <= EXACT


# The shipped loop, with a real model's passes over trees.

METHODS = [("slem", None), ("tli", "token"), ("tli", "block"), ("pushforward", "block"), ("slrs", "token")]


@pytest.mark.parametrize(("method", "rule"), METHODS)
@pytest.mark.parametrize("cut", one_of(2, [True, False]))
def test_the_loop_with_trees(method: str, rule: Any, cut: bool) -> None:
    """``cut``: to two outcomes a place, as there are very many of three tokens."""
    processors = [TopKLogitsWarper(2)] if cut and method == "tli" else []
    world = LoopWorld(
        method=method, rule=rule, tree="auto", num_draft_tokens=1, processors=lambda: list(processors)
    )
    assert world.distance(3 if method == "tli" else 2) <= EXACT
    assert world.broad > 0


@pytest.mark.parametrize(("method", "rule"), one_of(3, METHODS))
def test_the_loop_with_larger_trees(method: str, rule: Any) -> None:
    vocabularies: Any = {"target": ("ab", "ba"), "draft": ("bb",)}
    world = LoopWorld(1, method=method, rule=rule, tree="auto", num_draft_tokens=2, **vocabularies)
    assert world.distance(2) <= EXACT
    assert world.broad > 0


@pytest.mark.parametrize("method", one_of(2, ["slem", "slrs"], first=1))
def test_rows_of_one_pass_with_trees(method: str) -> None:
    """Two rows, each with a tree of its own: cut to two outcomes a place, or there are too many."""
    world = LoopWorld(
        method=method,
        tree="auto",
        num_draft_tokens=1,
        prompts=("ab", "bba"),
        processors=lambda: [TopKLogitsWarper(2)],
    )
    assert world.distance(2) <= EXACT
    assert world.broad > 0


def test_rows_that_read_each_others_trees_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    read = TransformersBatch.advance

    def crossed(self: TransformersBatch, rows: Any, ids: Any, keep: Any, trees: Any = NO_TREES) -> Any:
        found = read(self, rows, ids, keep, trees)
        return found[::-1] if len({len(logits) for logits in found}) == 1 else found

    monkeypatch.setattr(TransformersBatch, "advance", crossed)
    world = LoopWorld(
        method="slem",
        tree="auto",
        num_draft_tokens=1,
        prompts=("ab", "bba"),
        processors=lambda: [TopKLogitsWarper(2)],
    )
    assert world.distance(1) > CAUGHT


class Misread(EnumeratingRandomness):
    """Every draw twice as sure."""

    def draw(self, law: Tensor) -> Tensor:
        sharp = law**2
        return super().draw(sharp / sharp.sum(-1, keepdim=True))


def test_a_loop_that_draws_otherwise_is_caught() -> None:
    world = LoopWorld(method="slem", tree="auto", num_draft_tokens=1)
    found: dict[Any, float] = defaultdict(float)
    for oracle, rows in branches(partial(world._run, 2), make=Misread):
        found[rows] += oracle.probability
    alone = world.alone(world.prompts[0], 2)
    assert 0.5 * sum(abs(found.get((said,), 0.0) - p) for said, p in alone.items()) > CAUGHT
