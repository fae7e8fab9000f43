"""Errors of the first process reach the others, whatever they are."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import anydraft.decoding.parallel as rounds
from anydraft.errors import ArgumentError, ModelError
from anydraft.models.tensor_parallel import _sendable


def test_an_error_that_cannot_be_sent_becomes_one_that_can() -> None:
    class OwnError(Exception):
        pass

    sent = _sendable(OwnError("the user's"))
    assert type(sent) is ModelError
    assert "the user's" in str(pickle.loads(pickle.dumps(sent)))
    known = ArgumentError("got 1")
    assert _sendable(known) is known
    assert _sendable([1, None]) == [1, None]


def test_an_error_while_drafting_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the others would wait for candidates that never come."""
    shared: list[Any] = []

    class Alone:
        leads = True

        def share(self, value: Any) -> Any:
            shared.append(value)
            return value

    error = MemoryError("no room for laws")

    def propose(rows: Any) -> Any:
        raise error

    monkeypatch.setattr(rounds, "propose", propose)
    with pytest.raises(MemoryError):
        rounds.round_with(Alone())([])
    assert shared == [error]
