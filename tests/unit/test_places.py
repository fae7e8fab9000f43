"""Rows that share passes, and rows with a method of their own: how each is directed."""

from __future__ import annotations

import pytest

import small
from anydraft.decoding.loop import decode
from anydraft.errors import ArgumentError
from anydraft.models.logits import processed_law
from anydraft.sampling.laws import Greedy


def test_a_row_of_its_own_method_and_one_that_drafts_nothing() -> None:
    pair = small.speculator(method="slem")
    text = pair.generate("The quick", max_new_tokens=12)
    engine, law = pair.engine, processed_law(temperature=0.0)
    for method, drafts in (("none", False), ("tli", True), (None, True)):
        row = engine.row(
            engine.prompt("The quick"),
            engine.caches(),
            law=law,
            draft_law=law.without_prefix,
            randomness=Greedy(),
            max_new_tokens=12,
            method=method,
        )
        assert [token for _, event in decode([row]) for token in event.token_ids] == text.token_ids
        assert (row.stats.drafted > 0) == drafts
        assert row.method == ((method or "slem") if drafts else "none")
    with pytest.raises(ArgumentError, match="slow"):
        engine.direct(row, 1, "slow")


def test_a_row_is_directed_by_how_many_share_its_passes() -> None:
    pair = small.speculator(num_draft_tokens="auto")
    engine, law = pair.engine, processed_law(temperature=0.0)
    places = engine.places()
    first, second = (
        engine.row(
            engine.prompt(text),
            places.add(),
            law=law,
            draft_law=law.without_prefix,
            randomness=Greedy(),
            max_new_tokens=12,
            together=1,
        )
        for text in ("The quick", "The dog")
    )
    single = first.director
    assert second.director is single
    assert not first.joint
    for row in (first, second):
        engine.direct(row, 2)
    assert first.director is second.director is not single
    assert first.joint
    engine.direct(first, 2, "lookup")
    assert not first.joint
    engine.direct(first, 1)
    assert first.director is single
