"""The comparison behind ``anydraft bench``: what is judged of its figures."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from anydraft.bench.comparison import agreement, figures
from anydraft.errors import ArgumentError


def test_agreement_is_about_order() -> None:
    measured = {"a": 3.0, "b": 2.0, "c": 1.99}
    assert agreement({"a": 9.0, "b": 8.0, "c": 7.0}, measured) == 1
    assert agreement({"a": 1.0, "b": 2.0, "c": 3.0}, measured) == 0
    assert agreement({"a": 9.0, "b": 7.0, "c": 8.0}, measured, tie=0.02) == 1
    assert agreement({}, measured) == 1


def test_runs_without_tokens_are_told() -> None:
    empty = SimpleNamespace(counted=0, seconds=0.1)
    with pytest.raises(ArgumentError, match=r"got 2 runs in which nothing follows.*expected prompts"):
        figures([empty, empty], [empty, empty])  # type: ignore[list-item]
