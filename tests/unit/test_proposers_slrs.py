"""What class coupling proposes, and how much of it is accepted, beside the law it emits (test_lossless_*)."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from anydraft.errors import ArgumentError, PairError
from anydraft.proposers.expansion import Expansion
from anydraft.proposers.pushforward import Pushforward
from anydraft.proposers.slrs.plan import ClassPlan
from anydraft.proposers.slrs.proposer import ClassCoupling
from anydraft.proposers.slrs.spelling import ClassSpelling
from enumeration import World
from toy_methods import classes, pushforward, token_level
from toys import PAIRS, ToyPair

PAIR = {pair.name: pair for pair in PAIRS}
MERGING = ToyPair("merging", (b"a", b"b", b"c", b"ab", b"bc"), (b"a", b"b", b"c", b"b"))


def plan(pair: ToyPair, drafted: list[bytes], limit: int = 99) -> ClassPlan:
    ids = [pair.draft.index(text) for text in drafted]
    laws = torch.full((len(ids), len(pair.draft)), 1 / len(pair.draft), dtype=torch.float64)
    return ClassPlan(ClassSpelling(pair.tables, len(pair.target)), laws, ids, limit).build()


@pytest.mark.parametrize(
    ("pair", "drafted", "proposed"),
    [
        (MERGING, [b"a", b"b", b"c"], [b"ab", b"c"]),
        (MERGING, [b"a", b"c", b"b"], [b"a", b"c", b"b"]),
        (MERGING, [b"c", b"a", b"b"], [b"c", b"ab"]),
        (MERGING, [b"a", b"b"], [b"ab"]),
        (MERGING, [b"c", b"b", b"c"], [b"c", b"bc"]),
        (PAIR["spaces"], [b"  ", b" a", b"a"], [b"   ", b"a", b"a"]),
        (PAIR["spaces"], [b"a", b"  ", b" a"], [b"a", b"   ", b"a"]),
        (PAIR["spaces"], [b"a", b"b ", b"a"], [b"a", b"b", b" ", b"a"]),
        (PAIR["line"], [b"b  ", b" a", b"a"], [b"b", b"   ", b"a", b"a"]),
        (PAIR["mirror"], [b"  ", b"a", b"a"], [b" ", b" a", b"a"]),
        (PAIR["mirror"], [b"   ", b"a", b"a"], [b"  ", b" a", b"a"]),
    ],
)
def test_it_proposes_the_targets_reading(pair: ToyPair, drafted: list[bytes], proposed: list[bytes]) -> None:
    built = plan(pair, drafted)
    assert [pair.target[t] for t in built.candidates] == proposed
    if b"".join(proposed) == b"".join(drafted):
        assert built.candidates == pair.propose([pair.draft.index(text) for text in drafted])


def test_spaces_without_a_word_are_not_proposed() -> None:
    built = plan(PAIR["mirror"], [b"a", b"  ", b" "])
    assert built.candidates == [1]
    assert built.steps[-1].symbol == -1
    assert built.steps[-1].row == 1


def test_the_block_ends_at_the_limit() -> None:
    for limit in (1, 2, 3):
        built = plan(PAIR["line"], [b"b  ", b" a", b"a"], limit)
        assert len(built.candidates) == limit
        assert max(step.row for step in built.steps) == limit - 1


def test_steps_know_what_was_revealed() -> None:
    built = plan(MERGING, [b"c", b"a", b"b"])
    first, _, third, fourth = built.steps
    assert [step.classwise for step in built.steps] == [True, False, True, False]
    assert torch.equal(first.weights, torch.full((4,), 0.25).double())
    assert third.weights.tolist() == [0.25] * 4  # "c" merges with nothing, so nothing was revealed of "a"
    assert fourth.labels.tolist() == [0, 3, 0, 0]  # "ab" if "b" follows, else "a"
    built = plan(MERGING, [b"a", b"c", b"c"])
    assert built.steps[2].weights.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])  # "c" was not "b"


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_block_rule_accepts_at_least_as_much(pair: ToyPair) -> None:
    for make in (token_level, pushforward, classes):
        for seed in range(2):
            token, block = (
                World(pair, make(pair, len(pair.target), rule), seed).tokens_per_round(2)
                for rule in ("token", "block")
            )
            assert block >= token - 1e-12


def test_no_draft_token_to_propose() -> None:
    tables = ToyPair("apart", (b"a", b"b"), (b"c", b"cc")).tables
    with pytest.raises(PairError, match="slem"):
        ClassCoupling(tables, 2)
    with pytest.raises(PairError, match="draft tokens"):
        Pushforward(tables.offsets, tables.ids)


def test_tables_that_do_not_fit() -> None:
    tables = MERGING.tables
    with pytest.raises(ArgumentError, match="crossing"):
        dataclasses.replace(tables, crossing=tables.crossing[:-1])
    with pytest.raises(ArgumentError, match="merge_ids has target token 2"):
        dataclasses.replace(tables, merge_ids=torch.tensor([2, 4]))
    with pytest.raises(ArgumentError, match="crossing has target token 1"):
        dataclasses.replace(tables, crossing=torch.tensor([1, -1, -1, -1]))
    with pytest.raises(ArgumentError, match="ascend"):
        dataclasses.replace(tables, merge_keys=tables.merge_keys.flip(0))
    with pytest.raises(ArgumentError, match="offsets"):
        Expansion(tables.offsets, tables.ids[:-1])


def test_expansion_rows_and_columns() -> None:
    rows = Expansion(torch.tensor([0, 2, 2, 3]), torch.tensor([5, 6, 7]))
    assert [rows.row(d) for d in range(3)] == [[5, 6], [], [7]]
    assert rows.column(0).tolist() == [5, 0, 7]
    assert rows.column(1).tolist() == [6, 0, 0]
    assert rows.going_on([]).tolist() == [True, False, True]
    assert rows.going_on([5]).tolist() == [True, False, False]
