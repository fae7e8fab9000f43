"""What fails ends alone: a row, a joint pass, a request that cannot be served, the scheduler itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

import anydraft
from anydraft.errors import ArgumentError, ModelError, PairError
from anydraft.serving.errors import RequestError
from anydraft.serving.scheduler import Scheduler
from jobs import HANG, LENGTHS, PROMPTS, Asked, alone, asked, gated, pair, running, spoilt, texts


def test_a_joint_pass_that_fails_is_no_ones_end() -> None:
    made = pair(weights="model")
    wanted = alone(made)

    def spoil(ids: Any, _: Any) -> bool:
        if len(ids) > 2:
            times.append(1)
            raise RuntimeError("no memory")
        return False

    with spoilt(made.engine.models[0], spoil) as times, running(made) as scheduler:
        assert texts(scheduler, asked(made, method="none")) == wanted
        assert times


@pytest.mark.parametrize("method", ["tli", "slem"])
def test_seeds_repeat_where_a_joint_pass_fails(method: Any) -> None:
    made = pair(weights="model")
    options: dict[str, Any] = {"temperature": 0.9, "seed": 3}

    def spoil(ids: Any, _: Any) -> bool:
        calls.append(1)
        if len(ids) > 1 and len(calls) > 20:
            times.append(1)
            raise RuntimeError("no memory")
        return False

    def said() -> list[str]:
        calls.clear()
        with running(made) as scheduler:
            return texts(scheduler, [Asked(made, prompt, method, **options) for prompt in PROMPTS])

    calls: list[int] = []
    wanted = said()
    with spoilt(made.engine.models[0], spoil) as times:
        assert said() == wanted
    assert times


def only_of(made: anydraft.Speculator, one: int) -> int:
    """A token in the midst of one answer, and in no other text."""
    outputs = [made.generate(p, max_new_tokens=n) for p, n in zip(PROMPTS, LENGTHS, strict=True)]
    known = {i for j, out in enumerate(outputs) if j != one for i in (*out.prompt_ids, *out.token_ids)}
    own = outputs[one]
    return next(token for token in own.token_ids[2:-1] if token not in {*known, *own.prompt_ids})


@pytest.mark.parametrize("fault", ["raises", "nan"])
def test_a_row_whose_passes_fail_ends_alone(fault: str) -> None:
    made = pair(weights="model")
    wanted, bad = alone(made), PROMPTS.index("Ça va")
    poison = only_of(made, bad)

    def spoil(ids: Any, output: Any) -> bool:
        hit = (ids == poison).any(-1)
        if not hit.any():
            return False
        if fault == "raises":
            times.append(1)
            raise RuntimeError("a bad token")
        output.logits[hit] = torch.nan
        return True

    with spoilt(made.engine.models[0], spoil) as times, running(made) as scheduler:
        ours = asked(made, method="none")
        for one in ours:
            scheduler.submit(one.job)
        with pytest.raises(RuntimeError if fault == "raises" else ModelError, match=r"bad token|NaN"):
            ours[bad].text()
        assert [one.text() for i, one in enumerate(ours) if i != bad] == wanted[:bad] + wanted[bad + 1 :]
        assert times
        again = Asked(made, PROMPTS[0], max_new_tokens=LENGTHS[0])
        scheduler.submit(again.job)
        assert again.text() == wanted[0]


def test_a_draft_that_fails_changes_no_text() -> None:
    made = pair(weights="model", draft_weights="model", num_draft_tokens=2)
    wanted = alone(made)

    def spoil(ids: Any, _: Any) -> bool:
        times.append(1)
        if len(times) > 12:
            raise RuntimeError("out of luck")
        return False

    with spoilt(made.engine.models[1], spoil) as times, running(made) as scheduler:
        ours = asked(made)
        assert texts(scheduler, ours) == wanted
        told = [event.draft_failure for one in ours for event in one.events if event.draft_failure]
        assert told
        assert all("out of luck" in failure for failure in told)


def test_what_cannot_be_done_is_told_and_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair()

    def impossible(_: str) -> Any:
        raise PairError("no tokens in common")

    with running(made) as scheduler:
        unknown = Asked(made, "The quick", "slow")
        scheduler.submit(unknown.job)
        with pytest.raises(ArgumentError, match="slow"):
            unknown.text()
        monkeypatch.setattr(made.engine, "strategy", impossible)
        cannot = Asked(made, "The quick", "tli")
        scheduler.submit(cannot.job)
        with pytest.raises(PairError):
            cannot.text()
        assert scheduler.running == 0


def test_a_scheduler_that_is_closed_ends_all_and_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair()
    with running(made, max_batch=1) as scheduler, gated(monkeypatch) as gate:
        runs, waits = Asked(made, "The quick", max_new_tokens=400), Asked(made, "Ça va")
        scheduler.submit(runs.job)
        scheduler.submit(waits.job)
        gate.release()
        runs.next()
        scheduler.close()
        gate.release()
        for one in (runs, waits):
            with pytest.raises(RequestError, match="shutting down"):
                one.text()
        with pytest.raises(RequestError, match="shutting down"):
            scheduler.submit(Asked(made, "The quick").job)
        assert not scheduler.alive


def test_a_scheduler_that_breaks_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair()

    def broken(self: Scheduler) -> None:
        raise ZeroDivisionError("a mistake")

    with running(made) as scheduler:
        monkeypatch.setattr(Scheduler, "_round", broken)
        one = Asked(made, "The quick", "none")
        scheduler.submit(one.job)
        with pytest.raises(ZeroDivisionError):
            one.text()
        for _ in range(HANG * 100):
            if not scheduler.alive:
                break
            threading.Event().wait(0.01)
        assert not scheduler.alive
