"""The planner on tiny pairs, where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import anydraft
import small
from anydraft.engine.kinds import Kind
from anydraft.planner import plan
from anydraft.scheduling.directors import Adaptive
from anydraft.scheduling.plan import find, plan_path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path))
    return tmp_path


def alike() -> tuple[Any, ...]:
    """A target that drafts for itself; without merges all it says is as its tokenizer writes it."""
    tokenizer = small.byte_level(258)
    model = small.model(tokenizer, padding=0)
    return model, model, tokenizer, tokenizer


def pair() -> tuple[Any, ...]:
    sides = small.byte_fallback(), small.byte_level()
    return *(small.model(side, seed=i) for i, side in enumerate(sides)), *sides


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_draft_like_its_target_is_accepted_throughout(temperature: float) -> None:
    made = plan(*alike(), temperature=temperature, new_tokens=40, tree="off")
    for method in ("tli", "slem") if temperature == 0 else ("tli", "pushforward"):
        reach = made.reach[method]
        assert reach.share == 1
        assert reach.first > 0.9  # a text may end within a character, which is no candidate of slem's
        assert reach.acceptance == pytest.approx(1, abs=0.01)
        if method != "slem":
            assert (reach.first, reach.width) == (1, 1)
            row = next(row for row in made.table() if (row.method, row.length) == (method, 4))
            assert row.tokens_per_pass == pytest.approx(5, abs=0.1)


def test_what_is_predicted_is_what_decodes_do() -> None:
    """Predictions are samples: their standard error is about 0.04 tokens here, that of the decodes 0.03."""
    made = plan(
        *pair(),
        temperature=1.5,
        new_tokens=100,
        prompts=["The quick", "def fib", "12345 67", "Ça va"] * 2,
        methods=("tli", "slrs"),
    )
    for method in ("tli", "slrs"):
        predicted = next(row for row in made.table() if (row.method, row.length) == (method, 2))
        decoder = anydraft.Speculator(*pair(), method=method, num_draft_tokens=2)  # type: ignore[arg-type]
        runs = [
            decoder.generate("The quick", max_new_tokens=120, temperature=1.5, seed=seed).stats
            for seed in range(3)
        ]
        measured = sum(run.tokens for run in runs) / sum(run.target_passes for run in runs)
        assert predicted.tokens_per_pass == pytest.approx(measured, abs=0.15)


def test_every_method_is_judged_and_the_pair_is_named() -> None:
    prompts = ["The quick brown fox. The quick brown", "def fib"]
    made = plan(*pair(), temperature=0.8, new_tokens=24, prompts=prompts)
    assert set(made.reach) == {"slrs", "pushforward", "tli", "slem", "lookup"}
    assert 0 < made.reach["lookup"].share < 1
    assert made.positions > 0
    assert made.step > 0
    assert made.plain > 0
    assert min(made.verify) == 1
    assert made.pair["device"] == "cpu"
    some = plan(*pair(), temperature=0.8, new_tokens=12, methods=["slrs", "tli"])
    assert set(some.reach) == {"slrs", "tli"} or some.notes


def test_a_plan_is_kept_and_used() -> None:
    made = plan(*pair(), new_tokens=12)
    decoder = anydraft.Speculator(*pair())
    assert find(decoder.engine.identity, "greedy") == made
    assert find(decoder.engine.identity, "sampling") is None
    alone, among_four = (
        decoder.engine.directors.find("measured", Kind(True, rows, False), "auto") for rows in (1, 4)
    )
    assert isinstance(alone, Adaptive)
    assert isinstance(among_four, Adaptive)
    assert alone.costs.plain() is not None
    assert among_four.costs.plain() is None
    plan_path(decoder.engine.identity, "greedy").write_text("damaged")
    assert find(decoder.engine.identity, "greedy") is None


def test_a_plan_may_be_given() -> None:
    made = plan(*pair(), new_tokens=12)
    decoder = anydraft.Speculator(*pair(), plan=made)
    assert decoder.engine.directors.planned("greedy") is made
    assert decoder.engine.directors.planned("sampling") is None
    wanted = anydraft.Speculator(*pair(), num_draft_tokens=3).generate("The quick", max_new_tokens=30)
    assert decoder.generate("The quick", max_new_tokens=30).token_ids == wanted.token_ids


def test_planning_changes_nothing_of_the_models() -> None:
    models = pair()
    before = [{k: v.clone() for k, v in model.state_dict().items()} for model in models[:2]]
    plan(*models, new_tokens=12)
    for model, state in zip(models[:2], before, strict=True):
        assert all((model.state_dict()[k] == v).all() for k, v in state.items())


def test_it_asks_for_prompts_and_for_enough_tokens() -> None:
    with pytest.raises(anydraft.ArgumentError, match="0 prompts"):
        plan(*pair(), prompts=[])
    with pytest.raises(anydraft.ArgumentError, match="enough tokens"):
        plan(*pair(), prompts=["The quick"], methods=["tli"], new_tokens=2)
