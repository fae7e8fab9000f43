"""The draft's side of a ``Speculator``: its law, its window, its clock."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import anydraft
import small
import watching
from anydraft.proposers import registry
from anydraft.proposers.registry import Method
from clocks import Clock
from plain import METHODS


def test_after_every_round_the_draft_sees_the_committed_bytes() -> None:
    pair = small.speculator(method="slem")
    row = watching.row(pair, "Ça va", length=60, temperature=1.0, seed=2)
    for _ in watching.rounds(row):
        assert row.draft is not None
        view = pair.bridge.draft.decode(row.draft.ids)
        assert view == row.session.bytes()
        assert row.session.view() == row.draft.ids
        assert row.draft.length <= len(row.draft.ids)
        assert row.target.length == len(row.session) - 1


def test_a_prompt_longer_than_the_drafts_window_is_drafted_from_a_suffix() -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    short = small.model(draft, seed=1)
    short.config.max_position_embeddings = 32
    pair = anydraft.Speculator(small.model(target), short, target, draft, method="slem", num_draft_tokens=5)
    row = watching.row(pair, "The quick brown fox jumps over the lazy dog. " * 4, length=60)
    assert row.draft is not None
    longest = 0
    for _ in watching.rounds(row):
        longest = max(longest, row.draft.length)
    assert 0 < longest <= 32
    assert row.stats.drafted > 0
    assert pair.bridge.draft.decode(row.draft.ids) == row.session.bytes()


def test_time_between_events_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    stream = small.speculator().stream("The quick", max_new_tokens=10)
    for _ in stream:
        clock.now += 3600
    assert 0 < stream.stats.seconds < 3600


def test_cuts_on_the_draft_side_leave_only_what_may_be_drawn() -> None:
    pair = small.speculator(method="tli")
    out = pair.generate("The quick", max_new_tokens=60, temperature=0.3, top_p=0.5, top_k=5, seed=0)
    table = pair.bridge.tables.draft_to_target
    assert out.stats.drafted > 20
    drawn: list[int] = []
    row = watching.row(pair, "The quick", length=60, temperature=0.3, top_p=0.5, top_k=5, seed=0)
    row.session = Listening(row.session, drawn)  # type: ignore[assignment]
    list(watching.rounds(row))
    first_allowed = int((table >= 0).argmax())
    assert drawn.count(first_allowed) < len(drawn) / 4


class Listening:
    """A session that notes what was drafted."""

    def __init__(self, session: Any, drawn: list[int]) -> None:
        self.session, self.drawn = session, drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def commit(self, ids: list[int], drafted: list[int]) -> Any:
        self.drawn += drafted
        return self.session.commit(ids, drafted)


@pytest.mark.parametrize("method", METHODS)
def test_the_draft_may_have_a_law_of_its_own(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = small.speculator(method=method)
    same = pair.generate("The quick", max_new_tokens=40)
    own = pair.generate("The quick", max_new_tokens=40, draft_temperature=2.0, draft_top_k=7)
    assert own.token_ids == same.token_ids
    rows = watching.rows(pair, monkeypatch)
    stream = pair.stream("The quick", max_new_tokens=5, temperature=1.0, draft_top_k=3, draft_top_p=0.9)
    draft = rows[0].draft
    assert draft is not None
    assert 1 <= int((draft.law(torch.randn(400)) > 0).sum()) <= 3
    assert len([token for event in stream for token in event.token_ids]) == 5
    with pytest.raises(anydraft.ArgumentError, match="top_p"):
        pair.stream("The quick", temperature=1.0, draft_top_p=1.5)


CLOCKS = [(1e-3,), (1e-6, 5.0, 1e-6, 1e-6, 0.2), (3.0, 1e-6, 1e-6, 1e-6, 1e-6, 0.01, 1e-6)]
"""Steps of clocks: a steady one, and two by which now this and now that takes long."""


def drafted_by(steps: tuple[float, ...], monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[int, ...]:
    """What a fresh pair proposes and emits round by round, lengths and methods left to itself."""
    monkeypatch.setattr("time.perf_counter", Clock(steps))
    pair = small.speculator(num_draft_tokens="auto")
    rows = watching.rows(pair, monkeypatch)
    stream = pair.stream("The quick brown fox " * 3, max_new_tokens=40, temperature=0.7, **options)
    said = [(rows[0].stats.proposed, *event.token_ids) for event in stream]
    return tuple(number for round_ in said for number in round_)


def test_a_seed_repeats_a_sample_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round's block and what it emits, on machines whose times jump about."""
    assert len({drafted_by(steps, monkeypatch, seed=3) for steps in CLOCKS}) == 1
    drawn = set()
    for steps in CLOCKS:  # these clocks have a say where there is no seed
        torch.manual_seed(3)
        drawn.add(drafted_by(steps, monkeypatch))
    assert len(drawn) > 1


def test_strategies_are_built_before_a_round_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: Any, **__: Any) -> None:
        raise AssertionError("built in a round")

    row = watching.row(small.speculator(num_draft_tokens="auto"), "The quick", temperature=1.0)
    fresh = small.speculator(num_draft_tokens="auto")
    exact = "StringLevelExactMatch", "TokenLevelIntersection"
    for name in ("NgramLookup", *exact, "Pushforward", "ClassCoupling"):
        monkeypatch.setattr(registry, name, too_late)
    assert len(row.director.methods) > 1
    for method in row.director.methods:
        assert row.strategies(method)
        with pytest.raises(AssertionError, match="built in a round"):
            fresh.engine.strategy(method)
