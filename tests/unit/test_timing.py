"""Curves of measured times, and the account of what drafting may cost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anydraft.scheduling.timing import Account, Curve

MEASURED = st.lists(st.tuples(st.integers(1, 12), st.floats(1e-4, 10)), min_size=1, max_size=40)


def curve(*measured: tuple[int, float], slope: float = 0.1) -> Curve:
    made = Curve(slope)
    for size, seconds in measured:
        made.add(size, seconds)
    return made


def test_nothing_is_said_before_the_first_measurement() -> None:
    assert curve()(3) is None
    assert len(curve()) == 0


def test_one_measurement_is_continued_by_the_shape_that_was_given() -> None:
    made = curve((1, 2.0), slope=0.1)
    assert made(1) == 2.0
    assert made(6) == pytest.approx(3.0)
    assert curve((4, 8.0), slope=1.0)(2) == pytest.approx(4.0)


def test_between_measurements_lie_lines() -> None:
    made = curve((1, 1.0), (2, 1.7), (6, 1.9))
    assert made(2) == pytest.approx(1.7)
    assert made(4) == pytest.approx(1.8)
    assert made(11) == pytest.approx(2.8)


def test_an_outlier_changes_nothing() -> None:
    made = curve(*[(1, 1.0)] * 5, (1, 50.0), *[(5, 1.2)] * 5, (5, 50.0))
    assert made(1) == 1.0
    assert made(5) == 1.2


def test_a_slow_first_call_counts_at_most_twice() -> None:
    made = curve((1, 1.0), (1, 1.0), (5, 90.0))
    seconds = made(5)
    assert seconds is not None
    assert seconds <= 2 * 1.4 + 1e-9


def test_old_measurements_are_forgotten() -> None:
    made = curve(*[(1, 1.0)] * 9, *[(1, 3.0)] * 9)
    assert made(1) == 3.0


@given(MEASURED)
def test_a_curve_never_falls(measured: list[tuple[int, float]]) -> None:
    made = curve(*measured)
    seconds = [made(size / 2) for size in range(2, 40)]
    assert all(a is not None and b is not None and a <= b + 1e-9 for a, b in pairwise(seconds))


def test_an_account_forbids_what_is_above_its_allowance() -> None:
    account = Account(allowance=0.02, grace=2.0, credit=1.0)
    assert account.affords(0.0, 1.0)
    account.add(seconds=4.0, emitted=1, plain_round=1.0)
    assert not account.affords(0.0, 1.0)
    account.elapsed += 100.0
    assert account.affords(0.0, 1.0)
    account.add(seconds=1.0, emitted=9, plain_round=1.0)
    assert account.lost == -1.0
