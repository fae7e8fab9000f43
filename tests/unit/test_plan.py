"""A plan: what follows from measurements, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from anydraft.errors import ModelFileError
from anydraft.scheduling.mixture import LOOKUP, Mixture
from anydraft.scheduling.plan import Plan, Reach, agreement, rounds_of, tokens_of


def plan(*, step: float = 0.1, good: float = 0.8, bad: float = 0.4) -> Plan:
    def reach(chance: float) -> Reach:
        tokens = [sum(chance**i for i in range(1, n + 1)) for n in range(1, 9)]
        return Reach(tokens, [float(n) for n in range(1, 9)], chance)

    return Plan(
        pair={"target": "t", "draft": "d"},
        temperature=0.7,
        plain=1.02,
        verify={1: 1.0, 2: 1.0, 5: 1.1, 9: 1.2},
        step=step,
        reach={"slrs": reach(good), "slem": reach(bad), LOOKUP: Reach([0.0] * 8, [0.5] * 8, 0.0)},
    )


def test_the_table_is_the_formula() -> None:
    row = next(row for row in plan().table() if (row.method, row.length) == ("slrs", 4))
    tokens = 1 + 0.8 + 0.64 + 0.512 + 0.4096
    seconds = 4 * 0.1 + 1.1 + 0.02
    assert row.tokens_per_pass == pytest.approx(tokens)
    assert row.tokens_per_second == pytest.approx(tokens / seconds)
    assert row.speedup == pytest.approx(1.02 * tokens / seconds)
    assert plan().table()[0] == plan().best()


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


def test_a_text_is_walked_round_by_round() -> None:
    never: list[tuple[int, float]] = []
    always = [(1, 1.0), (2, 1.0), (3, 1.0)]
    assert rounds_of([never] * 6, 3) == 6
    assert rounds_of([always] * 8, 3) == 2
    assert rounds_of([always] * 8, 1) == 4
    assert rounds_of([[(1, 0.5)]] * 2, 1) == pytest.approx(1.5)
    assert rounds_of([always, never, never, never, always], 3) == 2
    assert tokens_of([[always] * 8, [never] * 2], 3)[2] == pytest.approx(10 / 4 - 1)


def test_agreement_is_about_order() -> None:
    measured = {"a": 3.0, "b": 2.0, "c": 1.99}
    assert agreement({"a": 9.0, "b": 8.0, "c": 7.0}, measured) == 1
    assert agreement({"a": 1.0, "b": 2.0, "c": 3.0}, measured) == 0
    assert agreement({"a": 9.0, "b": 7.0, "c": 8.0}, measured, tie=0.02) == 1
    assert agreement({}, measured) == 1


def test_a_mixture_starts_from_a_plan() -> None:
    mixture = Mixture.by(plan())
    choice = mixture.choose(100, 1, 0)
    assert choice is not None
    assert choice.method == "slrs"
    assert choice.length >= 3
    assert Mixture.by(plan(step=1.5)).choose(100, 1, 0) is None
