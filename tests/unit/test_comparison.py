"""The comparison behind ``anydraft bench``: what is judged of its figures."""

from __future__ import annotations

from anydraft.bench.comparison import agreement


def test_agreement_is_about_order() -> None:
    measured = {"a": 3.0, "b": 2.0, "c": 1.99}
    assert agreement({"a": 9.0, "b": 8.0, "c": 7.0}, measured) == 1
    assert agreement({"a": 1.0, "b": 2.0, "c": 3.0}, measured) == 0
    assert agreement({"a": 9.0, "b": 7.0, "c": 8.0}, measured, tie=0.02) == 1
    assert agreement({}, measured) == 1
