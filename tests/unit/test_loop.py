"""Rows that learn together go the same way."""

from __future__ import annotations

from typing import Any

import pytest

import small
import watching
from anydraft.decoding.loop import decode
from anydraft.scheduling.lookahead import Fixed
from anydraft.scheduling.mixture import Choice, Single

PROMPTS = ["The quick", "brown fox jumps", "over"]


class Counting(Single):
    """Another length in every round."""

    def __init__(self, method: str) -> None:
        super().__init__(method, Fixed(1))
        self.asked: list[Choice | None] = []
        self.seen: list[int] = []

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        assert match == 0
        made = Choice(self.method, 1 + len(self.asked) % 3) if backlog is not None else None
        self.asked.append(made)
        return made

    def observe(self, choice: Choice | None, seen: Any) -> None:
        self.seen.append(seen.asked)


@pytest.mark.parametrize("method", ["slem", "tli", "slrs"])
def test_rows_with_one_director_draft_alike(method: str) -> None:
    pair = small.speculator(method=method)
    rows = [watching.row(pair, prompt, length=9) for prompt in PROMPTS]
    director = Counting(method)
    for row in rows:
        row.director = director
    events = list(decode(rows))
    assert len(director.asked) < len(events)  # one decision for all rows of a round
    rounds = [row.stats.target_passes for row in rows]
    assert len(director.asked) == max(rounds)
    assert len(director.seen) == sum(rounds)


def test_a_row_without_its_draft_does_not_decide_for_the_others() -> None:
    pair = small.speculator(method="slem")
    rows = [watching.row(pair, prompt, length=9) for prompt in PROMPTS]
    director = Counting("slem")
    for row in rows:
        row.director = director

    rows[0].draft = None
    list(decode(rows))
    assert director.asked[0] is not None
    assert rows[1].stats.drafted > 1
