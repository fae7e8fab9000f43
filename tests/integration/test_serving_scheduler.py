"""Rows that join and leave a batch: each says what it says alone, whatever becomes of the others."""

from __future__ import annotations

from typing import Any

import pytest

import anydraft
import small
from anydraft.models.batch import TransformersBatch
from anydraft.serving import scheduler as module
from anydraft.serving.errors import RequestError
from jobs import PROMPTS, Asked, alone, asked, gated, pair, running, texts


@pytest.mark.parametrize("most", [1, 3, 8])
@pytest.mark.parametrize("length", ["auto", 5])
def test_rows_that_come_and_go_say_what_each_says_alone(most: int, length: Any) -> None:
    made = pair(num_draft_tokens=length)
    with running(made, max_batch=most) as scheduler:
        assert texts(scheduler, asked(made)) == alone(made)
        assert texts(scheduler, asked(made)[::-1]) == alone(made)[::-1]


def test_rows_share_passes() -> None:
    made = pair(weights="model")
    widths: list[int] = []
    target: Any = made.engine.models[0]
    target.register_forward_pre_hook(
        lambda _, __, given: widths.append(len(given["input_ids"])), with_kwargs=True
    )
    with running(made) as scheduler:
        texts(scheduler, asked(made, method="none"))
    assert max(widths) > 3


def test_samples_with_seeds_are_those_of_the_pair() -> None:
    made = pair(num_draft_tokens="auto")
    options: dict[str, Any] = {"temperature": 0.9, "top_k": 30}
    with running(made) as scheduler:
        found = texts(scheduler, [*asked(made, seed=3, **options), *asked(made, **options)])
    assert found[: len(PROMPTS)] == alone(pair(num_draft_tokens="auto", tree="off"), seed=3, **options)


def test_trees_are_read_while_a_request_is_alone_and_has_no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    prune = TransformersBatch.prune

    def counted(self: TransformersBatch, row: int, length: int, path: Any) -> None:
        seen.append(len(self))
        prune(self, row, length, path)

    monkeypatch.setattr(TransformersBatch, "prune", counted)
    made = pair()
    with running(made) as scheduler:
        assert texts(scheduler, asked(made)[:1]) == alone(made)[:1]
        assert seen
        seen.clear()
        texts(scheduler, asked(made, seed=3, temperature=0.9)[:1])
        assert not seen


def test_a_long_prompt_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair(weights="model")
    text = small.TEXT[:300]
    wanted = made.generate(text, max_new_tokens=20).text
    sizes: list[int] = []
    target: Any = made.engine.models[0]
    target.register_forward_pre_hook(
        lambda _, __, given: sizes.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    monkeypatch.setattr(module, "_CHUNK", 16)
    with running(made) as scheduler:
        assert texts(scheduler, [Asked(made, text, max_new_tokens=20), *asked(made)])[0] == wanted
    assert sizes[:10] == [16] * 10
    assert max(sizes) < 100 < len(made.engine.prompt(text).ids)


def apart() -> anydraft.Speculator:
    """A pair whose target's scales grow with the text, so that its rows share no passes."""
    tokenizers = small.byte_fallback(), small.byte_level()
    growing = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}}
    target, draft = small.model(tokenizers[0], **growing), small.model(tokenizers[1], seed=1)
    return small.join((target, draft, *tokenizers))


def test_where_rows_share_no_passes_a_prompt_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As plain decoding reads it: its scales go by the length of a pass."""
    made, sizes = apart(), list[int]()
    target: Any = made.engine.models[0]
    target.register_forward_pre_hook(
        lambda _, __, given: sizes.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    monkeypatch.setattr(module, "_CHUNK", 4)
    with running(made) as scheduler:
        texts(scheduler, [Asked(made, "The quick brown fox", max_new_tokens=3)])
    assert max(sizes) >= len(made.engine.prompt("The quick brown fox").ids) > 4


def test_models_whose_rows_cannot_share_passes_take_turns() -> None:
    made = apart()
    assert not made.engine.places().joint
    with running(made) as scheduler:
        ours, most = asked(made), 0
        for one in ours:
            scheduler.submit(one.job)
        for one in ours:
            while not (one.events and one.events[-1].finish_reason):
                one.next()
                most = max(most, scheduler.running)
        assert [one.text() for one in ours] == alone(made)
    assert most == 1


def test_one_that_is_abandoned_leaves_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair()
    wanted = made.generate(PROMPTS[0], max_new_tokens=40).text
    with running(made) as scheduler, gated(monkeypatch) as gate:
        stays, goes = Asked(made, PROMPTS[0], max_new_tokens=40), Asked(made, PROMPTS[1], max_new_tokens=400)
        scheduler.submit(stays.job)
        scheduler.submit(goes.job)
        for _ in range(8):
            gate.release()
        goes.next()
        row = goes.job.row
        assert row is not None
        batch: Any = row.target.batch  # type: ignore[attr-defined]
        assert len(batch) == 2
        scheduler.abandon(goes.job)
        for _ in range(50):
            gate.release()
        with pytest.raises(RequestError, match="went away"):
            goes.text()
        assert stays.text() == wanted
        assert len(batch) == 0
    assert scheduler.running == 0


def test_one_that_waits_may_be_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair()
    with running(made, max_batch=1) as scheduler, gated(monkeypatch) as gate:
        first, second, third = (Asked(made, "The quick", max_new_tokens=5) for _ in range(3))
        for one in (first, second, third):
            scheduler.submit(one.job)
        scheduler.abandon(second.job)
        for _ in range(30):
            gate.release()
        assert first.text() == third.text()
        assert second.job.row is None


def test_beyond_the_queue_requests_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pair()
    with running(made, max_batch=2, max_queue=1) as scheduler, gated(monkeypatch) as gate:
        taken = [Asked(made, "The quick", max_new_tokens=3) for _ in range(3)]
        for one in taken:
            scheduler.submit(one.job)
        with pytest.raises(RequestError, match="try again later") as caught:
            scheduler.submit(Asked(made, "The quick").job)
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})
        for _ in range(30):
            gate.release()
        assert len({one.text() for one in taken}) == 1
        later = Asked(made, "The quick", max_new_tokens=3)
        scheduler.submit(later.job)
        assert later.text() == taken[0].text()
