"""What a block of a length is expected to emit."""

from __future__ import annotations

import random

import pytest

from anydraft.scheduling.expectation import (
    Calibration,
    Expectation,
    Ratio,
    Survival,
    bin_of,
    positions_passed,
)


def test_a_survival_learns_each_position() -> None:
    chance, survival = random.Random(0), Survival(0.5, 4)
    for _ in range(3000):
        reached = 0
        while reached < 3 and chance.random() < (0.9, 0.5, 0.7)[reached]:
            reached += 1
        survival.add(3, reached)
    assert survival.chances()[:3] == pytest.approx([0.9, 0.5, 0.7], abs=0.2)
    assert survival.reach()[2] == pytest.approx(0.9 + 0.45, abs=0.25)


def test_what_was_never_seen_leans_on_what_was() -> None:
    survival = Survival(0.5, 4)
    for _ in range(200):
        survival.add(1, 1)
    assert survival.chances()[3] > 0.9
    survival.fade(0.0)
    assert survival.chances() == [0.5] * 4


def test_a_ratio_starts_at_one() -> None:
    ratio = Ratio()
    assert ratio.value == 1
    for _ in range(200):
        ratio.add(3, 2)
    assert ratio.value == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize(
    ("counts", "passed"), [((4, 4, 2), 2), ((4, 8, 3), 1), ((4, 2, 2), 4), ((4, 0, 0), 0), ((4, 3, 1), 1)]
)
def test_candidates_are_carried_over_to_draft_tokens(counts: tuple[int, int, int], passed: int) -> None:
    assert positions_passed(*counts) == passed


def test_the_expected_tokens_of_a_string_level_method() -> None:
    expected = Expectation(0.5, 6)
    for _ in range(300):
        expected.add(asked=4, drafted=4, proposed=6, accepted=6)
    drawn, candidates, tokens = expected.table()[4]
    assert (drawn, candidates, tokens) == pytest.approx((4, 6, 7), abs=0.25)
    assert expected.table()[0] == (0.0, 0.0, 1.0)


def test_blocks_that_end_early_count_as_they_are() -> None:
    expected = Expectation(0.5, 6)
    for i in range(300):
        expected.add(asked=4, drafted=2 + 2 * (i % 2), proposed=2 + 2 * (i % 2), accepted=2 + 2 * (i % 2))
    drawn, _, tokens = expected.table()[4]
    assert drawn == pytest.approx(3, abs=0.1)
    assert tokens == pytest.approx(4, abs=0.1)


def test_peaks_are_calibrated() -> None:
    calibration = Calibration()
    assert list(calibration.table()) == sorted(calibration.table())
    for i in range(400):
        calibration.add([0.99, 0.2], 1 + i % 2)
    assert calibration.table()[bin_of(0.99)] > 0.95
    assert calibration.table()[bin_of(0.2)] == pytest.approx(0.5, abs=0.1)
