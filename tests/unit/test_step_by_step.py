"""Rows whose processors must be called in order are verified up to where the first of them ends."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import LogitsProcessor

import anydraft
import trained
from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import Fixed
from generating import World


class Counting(LogitsProcessor):
    """Changes nothing, but keeps a state."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self.calls += 1
        return scores


def test_candidates_that_nobody_looked_at_are_not_held_against_the_draft(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Round] = []
    monkeypatch.setattr(Fixed, "observe", lambda self, choice, played: seen.append(played))
    world = World(*trained.pair(), ["The quick", "Ça va", "12345 67"])
    models = world.draft, world.target_tokenizer, world.draft_tokenizer
    ours = anydraft.custom_generate(*models, method="slem", num_draft_tokens=4)
    given: dict[str, Any] = {"max_new_tokens": 24, "do_sample": False, "logits_processor": [Counting()]}
    world.target.generate(**world.inputs(3), **given, custom_generate=ours)
    drafted = [played for played in seen if played.proposed]
    assert drafted
    assert all(played.judged is not None and played.judged <= played.emitted for played in drafted)
    assert any(played.accepted == played.judged < played.proposed for played in drafted)
