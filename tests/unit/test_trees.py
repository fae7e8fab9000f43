"""Walking on in a tree behind the verdict on its line, and what a verdict says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import anydraft
import small
import watching
from anydraft.decoding.proposal import Proposal, Start, Verdict, Walked
from anydraft.decoding.trees import depth_of, walk
from anydraft.errors import ArgumentError
from anydraft.proposers.base import Block, Branches
from anydraft.sampling.laws import NAN
from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import Choice, Director

# Place 0 is the text; the line is 5, 6; beside it 7 and 8 after the text, 9 after 7, 5 after the line's 5.
IDS, PARENTS = [5, 6, 7, 8, 9, 5], [0, 1, 0, 0, 3, 1]


@pytest.mark.parametrize(
    ("accepted", "following", "own", "path", "after"),
    [
        (0, 1, [0, 0, 0, 0], [], 1),
        (2, 7, [0, 0, 0, 0], [0, 1], 7),
        (0, 7, [2, 0, 0, 0], [2], 2),
        (0, 7, [9, 0, 3, 0], [2, 4], 3),
        (0, 7, [9, 0, 9, 0], [2, 4], 9),
        (1, 5, [0, 0, 0, 4], [0, 5], 4),
        (0, 5, [1, 1, 1, 1], [], 5),
        (0, 8, [1, NAN, 1, 1], [3], NAN),
        (0, NAN, [1, 1, 1, 1], [], NAN),
    ],
    ids=[
        "none",
        "line",
        "beside",
        "two",
        "end",
        "behind the line's first",
        "the line's own",
        "nan",
        "nan first",
    ],
)
def test_a_walk(accepted: int, following: int, own: list[int], path: list[int], after: int) -> None:
    assert walk(IDS, PARENTS, accepted, following, own) == (path, after)


def test_the_depth_of_a_tree() -> None:
    assert [depth_of(parents) for parents in ([], [0], [0, 0], PARENTS)] == [0, 1, 1, 2]


def test_where_the_last_token_of_a_tree_comes_from() -> None:
    def verdict(walked: Walked, emitted: list[int]) -> Verdict:
        return Verdict([1], IDS, len(walked.path), emitted, None, None, walked)

    behind, inside = Walked([2, 4], whole=True, longest=2), Walked([2], whole=False, longest=2)
    assert verdict(behind, [7, 9, 1]).source == "bonus"
    assert verdict(inside, [7, 1]).source == "recovered"
    assert verdict(behind, [7, 9]).source is None
    assert verdict(behind, [7, 9, 1]).places == [0, 3, 5]
    assert verdict(inside, [7]).places == [0]
    assert verdict(inside, [7, 1]).longest == 2


def test_what_stood_beside_the_line_is_counted_against_its_chances() -> None:
    block = Block(torch.tensor([1]), torch.tensor(IDS[:2]), branches=Branches(IDS[2:], PARENTS[2:], 1.25))
    proposal = Proposal(Start(1, 1, 0.0, 0.0), block=block)

    def beside(*path: int) -> tuple[int, float]:
        walked = Walked(list(path), whole=True, longest=2)
        return proposal.beside(Verdict([1], IDS, len(path), [7], None, None, walked))

    assert [beside(), beside(0, 1), beside(0, 5), beside(2, 4)] == [
        (0, 1.25),
        (0, 1.25),
        (1, 1.25),
        (2, 1.25),
    ]
    line = Proposal(Start(1, 1, 0.0, 0.0), block=replace(block, branches=None))
    assert line.beside(Verdict([1], IDS[:2], 1, [5], None, None)) == (0, 0.0)


class Least:
    """A director whose candidates beside the line must have another chance."""

    def __init__(self, director: Director, least: float) -> None:
        self.director, self.least, self.methods = director, least, director.methods

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        made = self.director.choose(limit, backlog, match)
        return made and made._replace(least=self.least)

    def observe(self, choice: Choice | None, seen: Round) -> None:
        self.director.observe(choice, seen)


def test_the_director_s_least_chance_reaches_the_tree() -> None:
    sizes = {}
    for least in (0.0, 0.2, 2.0):
        row = watching.row(small.speculator(method="slem", num_draft_tokens=3), "def fib(n):", length=30)
        row.director = Least(row.director, least)
        list(watching.rounds(row))
        sizes[least] = row.stats.verified
    assert sizes[0.0] > sizes[0.2] >= sizes[2.0] > 0


def test_trees_change_no_greedy_output_and_cost_no_more_passes() -> None:
    target, draft, *tokenizers = small.pair()
    said = {}
    for tree in ("auto", "off"):
        pair = anydraft.Speculator(target, draft, *tokenizers, method="slem", num_draft_tokens=3, tree=tree)
        said[tree] = [
            pair.generate(prompt, max_new_tokens=30) for prompt in ("def fib(n):", "The dog", "Ça va")
        ]
    for with_trees, without in zip(said["auto"], said["off"], strict=True):
        assert with_trees.token_ids == without.token_ids
        assert with_trees.stats.target_passes <= without.stats.target_passes
    stats = [output.stats for output in said["auto"]]
    assert sum(s.tokens for s in stats) == 90
    assert all(s.tokens == s.accepted + s.recovered + s.bonus for s in stats)


def test_an_unknown_wish_is_refused() -> None:
    target, draft, *tokenizers = small.pair()
    with pytest.raises(ArgumentError, match="tree='on'"):
        anydraft.Speculator(target, draft, *tokenizers, tree="on")  # type: ignore[arg-type]
