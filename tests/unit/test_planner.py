"""The planner on tiny pairs, where the truth is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import anydraft
import small
from anydraft.planner import plan
from anydraft.scheduling.mixture import Mixture
from anydraft.scheduling.plan_store import find, plan_path


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
    made = plan(*alike(), temperature=temperature, new_tokens=24)
    for method in ("tli",) if temperature == 0 else ("tli", "pushforward"):
        assert made.reach[method].first == pytest.approx(1, abs=1e-3)
        wanted = [24 / math.ceil(24 / (n + 1)) - 1 for n in range(1, 9)]  # the last round may be short
        assert made.reach[method].tokens == pytest.approx(wanted, abs=1e-2)
    if temperature == 0:
        assert made.reach["slem"].first == pytest.approx(1, abs=1e-3)


def test_what_is_predicted_is_what_decodes_do() -> None:
    made = plan(
        *pair(), temperature=1.5, new_tokens=60, prompts=["The quick", "def fib", "12345 67", "Ça va"] * 2
    )
    for method in ("tli", "slrs"):
        decoder = anydraft.Speculator(*pair(), method=method, num_draft_tokens=2)  # type: ignore[arg-type]
        runs = [
            decoder.generate("The quick", max_new_tokens=120, temperature=1.5, seed=seed).stats
            for seed in range(3)
        ]
        measured = sum(run.tokens for run in runs) / sum(run.target_passes for run in runs)
        assert 1 + made.reach[method].tokens[1] == pytest.approx(measured, abs=0.06)


def test_every_method_is_judged_and_the_pair_is_named() -> None:
    made = plan(*pair(), temperature=0.8, new_tokens=12)
    assert set(made.reach) == {"slrs", "pushforward", "tli", "slem", "lookup"}
    assert made.positions > 0
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
    director = decoder.engine._directors.get(greedy=True)
    assert isinstance(director, Mixture)
    assert director.clock.plain() is not None
    plan_path(decoder.engine.identity, "greedy").write_text("damaged")
    assert find(decoder.engine.identity, "greedy") is None


def test_a_plan_may_be_given() -> None:
    made = plan(*pair(), new_tokens=12)
    decoder = anydraft.Speculator(*pair(), plan=made)
    assert decoder.engine._planned("greedy") is made
    assert decoder.engine._planned("sampling") is None
    wanted = anydraft.Speculator(*pair(), num_draft_tokens=3).generate("The quick", max_new_tokens=30)
    assert decoder.generate("The quick", max_new_tokens=30).token_ids == wanted.token_ids


def test_planning_changes_nothing_of_the_models() -> None:
    models = pair()
    before = [{k: v.clone() for k, v in model.state_dict().items()} for model in models[:2]]
    plan(*models, new_tokens=12)
    for model, state in zip(models[:2], before, strict=True):
        assert all((model.state_dict()[k] == v).all() for k, v in state.items())


def test_it_asks_for_prompts() -> None:
    with pytest.raises(anydraft.ArgumentError, match="0 prompts"):
        plan(*pair(), prompts=[])
