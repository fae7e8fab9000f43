"""What rows of one decode share, and what they do not."""

from __future__ import annotations

from typing import Any

import pytest

import anydraft
import small
import watching
from anydraft.decoding.loop import choose, decode
from anydraft.decoding.sequence import Row
from anydraft.memory.lookup import Lookup
from anydraft.proposers.ngram import foreseen
from anydraft.scheduling.directors import Choice

PROMPTS = ["The quick", "brown fox jumps", "over"]
REPEATED = "The quick brown fox jumps over the lazy dog. " * 3


class Counting:
    """Another length in every round; notes the limits that it is asked with."""

    def __init__(self, method: str) -> None:
        self.method, self.methods = method, (method,)
        self.limits: list[int] = []
        self.made: list[Choice | None] = []
        self.seen: list[tuple[Choice | None, Any]] = []

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        made = Choice(self.method, 1 + len(self.made) % 3) if backlog is not None else None
        self.limits.append(limit)
        self.made.append(made)
        return made

    def observe(self, choice: Choice | None, seen: Any) -> None:
        self.seen.append((choice, seen))


def rows_of(method: Any, director: Any = None, *, joint: bool = True) -> list[Row]:
    pair = small.speculator(method=method)
    rows = [watching.row(pair, prompt, length=9) for prompt in PROMPTS]
    for row in rows:
        row.director = director or row.director
        row.joint = joint
    return rows


@pytest.mark.parametrize("method", ["slem", "tli", "slrs"])
def test_rows_with_joint_passes_draft_alike(method: str) -> None:
    director = Counting(method)
    rows = rows_of(method, director)
    list(decode(rows))
    rounds = [row.stats.target_passes for row in rows]
    assert len(director.made) == max(rounds)  # one decision for all rows of a round
    assert len(director.seen) == sum(rounds) - len(rows)  # of a last token, which is not drafted, nothing


def test_rows_with_passes_of_their_own_decide_for_themselves() -> None:
    director = Counting("slem")
    rows = rows_of("slem", director, joint=False)
    list(decode(rows))
    assert len(director.made) == sum(row.stats.target_passes for row in rows)


def test_a_row_without_its_draft_does_not_decide_for_the_others() -> None:
    director = Counting("slem")
    rows = rows_of("slem", director)
    rows[0].draft = None
    list(decode(rows))
    assert director.made[0] is not None
    assert rows[1].stats.drafted > 1


def test_a_row_that_cannot_draft_is_no_round_without_a_draft() -> None:
    """Its round takes as long as those of its batch: what is learnt of the plain time must not be that."""
    for joint in (True, False):
        director = Counting("slem")
        rows = rows_of("slem", director, joint=joint)
        rows[0].draft = None
        list(decode(rows))
        empty = [seen for choice, seen in director.seen if choice is not None and not seen.drafted]
        assert len(director.seen) > len(empty)
        assert bool(empty) != joint  # with passes of their own such rounds are plain ones, and are noted


def test_the_row_with_most_left_decides() -> None:
    director = Counting("slem")
    rows = rows_of("slem", director)
    rows[0].emitted = 8  # nothing can be drafted for one last token
    assert choose(rows) == [Choice("slem", 1)] * 3
    assert director.limits == [8]


def test_rows_side_by_side_are_looked_up_for() -> None:
    """Two decodes in one loop, each with passes of its own."""
    pair = small.speculator(method="lookup", num_draft_tokens=4, memory="off")
    rows = [watching.row(pair, REPEATED, length=20) for _ in range(2)]
    list(decode(rows))
    alone = watching.row(pair, REPEATED, length=20)
    list(decode([alone]))
    assert alone.stats.proposed > 0
    assert [row.stats.proposed for row in rows] == [alone.stats.proposed] * 2


def test_rows_of_a_batch_are_joint_and_never_looked_up_for() -> None:
    target, draft, *tokenizers = small.pair()
    pair = small.join((target, draft, *tokenizers), method="lookup", num_draft_tokens=4)
    alone = watching.row(pair, REPEATED)
    assert not alone.joint
    assert alone.lookup is not None
    custom = anydraft.custom_generate(draft, *tokenizers, method="lookup", num_draft_tokens=4)
    ids = tokenizers[0](REPEATED, return_tensors="pt")["input_ids"]
    proposed = []
    for count in (1, 2):
        target.generate(
            ids.repeat(count, 1), do_sample=False, max_new_tokens=20, custom_generate=custom, pad_token_id=0
        )
        proposed.append([stats.proposed for stats in custom.stats])
    assert proposed[0][0] > 0
    assert proposed[1] == [0, 0]


@pytest.mark.parametrize("drafting", [True, False])
def test_what_a_lookup_would_have_brought_is_seen_in_rounds_without_one(drafting: bool) -> None:
    memory = anydraft.Memory()
    pair = small.speculator(method="auto", num_draft_tokens="auto", memory=memory)
    list(decode([watching.row(pair, REPEATED, length=20)]))  # which is then in the memory
    row = watching.row(pair, REPEATED, length=40)
    director = Counting("slem")
    if not drafting:
        director.choose = lambda limit, backlog, match: None  # type: ignore[method-assign]
    row.director = director
    expected = []
    text = bytearray(pair.bridge.target.decode(row.prompt))
    found = Lookup(bytes(text), memory).continuations(400)
    for _, event in decode([row]):
        pieces = [pair.bridge.target.decode([token]) for token in event.token_ids]
        expected.append(foreseen(found[0].data, pieces) if found else None)
        text += b"".join(pieces)
        found = Lookup(bytes(text), memory).continuations(400)
    assert [seen.foreseen for _, seen in director.seen] == expected[: len(director.seen)]
    assert any(each and each[0] for each in expected)
    assert any(each and each[0] < each[1] for each in expected)


def test_a_row_whose_passes_become_joint_is_not_judged_by_an_old_lookup() -> None:
    row = watching.row(small.speculator(method="auto", num_draft_tokens="auto"), REPEATED, length=20)
    row.director = Counting("slem")
    rounds = decode([row])
    next(rounds)
    row.joint = True
    found = Counting("slem")
    row.director = found
    list(rounds)
    assert found.seen
    assert all(seen.foreseen is None for _, seen in found.seen)


def test_a_lookup_s_own_round_is_not_counted_twice() -> None:
    row = watching.row(small.speculator(method="lookup"), REPEATED, length=20)
    director = Counting("lookup")
    row.director = director
    list(decode([row]))
    assert {choice.method for choice, _ in director.seen if choice} == {"lookup"}
    assert all(seen.foreseen is None for choice, seen in director.seen if choice)
