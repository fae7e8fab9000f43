"""A plan: what follows from measurements, and its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from anydraft.errors import ModelFileError
from anydraft.scheduling.cost import BESIDE
from anydraft.scheduling.directors import LOOKUP, Adaptive, director
from anydraft.scheduling.plan import Plan, Reach
from simulated import World


def plan(*, step: float = 0.1, good: float = 0.8, bad: float = 0.4, found: float = 0.0) -> Plan:
    return Plan(
        pair={"target": "t", "draft": "d"},
        temperature=0.7,
        plain=1.02,
        verify={1: 1.0, 2: 1.0, 5: 1.1, 9: 1.2},
        reach={
            "slrs": Reach(good, good, 1.0, step),
            "slem": Reach(bad, bad, 1.0, step),
            LOOKUP: Reach(found, found, 1.0, 0.0, share=0.25),
        },
    )


def test_the_table_is_the_formula() -> None:
    row = next(row for row in plan().table() if (row.method, row.length) == ("slrs", 4))
    tokens = 1 + 0.8 + 0.64 + 0.512 + 0.4096
    seconds = 4 * 0.1 + 1.1 + 0.02
    assert row.tokens_per_pass == pytest.approx(tokens)
    assert row.tokens_per_second == pytest.approx(tokens / seconds)
    assert row.speedup == pytest.approx(1.02 * tokens / seconds)
    assert plan().table()[0] == plan().best()


def test_of_a_draft_that_looks_ahead_a_block_costs_about_a_pass() -> None:
    ahead = replace(plan(), reach={"slrs": Reach(0.8, 0.8, 1.0, 0.1, ahead=4)})
    row = next(row for row in ahead.table() if (row.method, row.length) == ("slrs", 4))
    tokens = 1 + 0.8 + 0.64 + 0.512 + 0.4096
    assert row.tokens_per_second == pytest.approx(tokens / ((1 + 3 * BESIDE) * 0.1 + 1.1 + 0.02))
    costs = Adaptive(("slrs",), 0.5, plan=ahead, ahead=4).costs
    assert costs.step(costs.arms["slrs"]) == 0.1


def test_a_lookup_counts_only_where_it_finds_something() -> None:
    row = next(row for row in plan(found=0.5).table() if (row.method, row.length) == (LOOKUP, 4))
    tokens = 1 + 0.25 * (0.5 + 0.25 + 0.125 + 0.0625)
    assert row.tokens_per_pass == pytest.approx(tokens)
    assert row.tokens_per_second == pytest.approx(tokens / (0.75 * 1.02 + 0.25 * 1.12))


def test_the_best_method_is_recommended_with_its_reason() -> None:
    assert plan().ranking()[:2] == ["slrs", "slem"]
    assert plan().best().method == "slrs"
    assert plan().best("slem").method == "slem"
    assert "slrs with" in plan().reason()
    assert "0.10 of a target pass" in str(plan())


def test_no_draft_is_recommended_where_none_pays() -> None:
    dear = plan(step=1.5)
    assert dear.best().method == "none"
    assert dear.best().speedup == 1
    assert dear.reason().startswith("no draft")


def test_a_file_holds_all_of_it(tmp_path: Path) -> None:
    plan().save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan()
    for damaged in ("{}", "nothing", '{"anydraft plan": 99}', "[1]"):
        (tmp_path / "bad.json").write_text(damaged)
        with pytest.raises(ModelFileError, match="no plan of this version"):
            Plan.load(tmp_path / "bad.json")
    with pytest.raises(ModelFileError):
        Plan.load(tmp_path / "missing.json")
    replace(plan(), reach={"slem": Reach(0.5, 0.5, 1.0, 0.1, ahead=0)}).save(tmp_path / "bad.json")
    with pytest.raises(ModelFileError, match="ahead"):
        Plan.load(tmp_path / "bad.json")


def test_auto_starts_from_a_plan() -> None:
    planned = director("auto", "auto", "sampling", 0.9, plan=plan())
    assert planned.methods == (LOOKUP, "slrs", "slem")
    choice = planned.choose(100, 1, 0)
    assert choice is not None
    assert choice.method == "slrs"
    assert choice.length >= 3
    assert director("auto", "auto", "sampling", 0.1, plan=plan(step=1.5)).choose(100, 1, 0) is None


def test_a_plan_does_not_keep_a_draft_from_its_trials_on_other_text() -> None:
    bad = plan(good=0.05, bad=0.02, step=0.06)
    made = director("auto", "auto", "sampling", 0.06, plan=bad)
    told = World(0.06, {"slrs": 0.6, "slem": 0.5}).run(made, 1000)
    assert told.used["none"] < 0.25 * told.used.total()
