"""The cost model: its formula, what it learns from rounds, and what it books."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from anydraft.scheduling.cost import (
    ALLOWANCE,
    BESIDE,
    GRACE,
    LONG,
    WIDER,
    Arm,
    CostModel,
    Ratio,
    Round,
    interpolated,
    tokens,
    work,
)

PLAIN = Round(0, 0, 0, 1, 1, 1, 1.0, 1.02)


def model(arm: Arm | None = None, rounds: int = 2) -> CostModel:
    made = CostModel({"tli": arm or Arm(range(1, 9), 0.1)})
    for _ in range(rounds):
        made.observe(None, PLAIN)
    return made


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("candidates", [0, 1, 4])
def test_tokens_are_a_geometric_sum(acceptance: float, candidates: int) -> None:
    assert tokens(acceptance, candidates) == pytest.approx(sum(acceptance**i for i in range(candidates + 1)))


def test_passes_in_between_are_on_lines_and_beyond_grow_slowly() -> None:
    seconds = {1: 1.0, 3: 1.2, 9: 1.8}
    assert interpolated(seconds, 1) == 1.0
    assert interpolated(seconds, 2) == pytest.approx(1.1)
    assert interpolated(seconds, 4.5) == pytest.approx(1.35)
    assert interpolated(seconds, 19) == pytest.approx(1.8 * (1 + 18 * WIDER) / (1 + 8 * WIDER))
    assert interpolated({5: 2.0}, 1) == pytest.approx(2.0 / (1 + 4 * WIDER))


def test_a_ratio_goes_back_to_its_start() -> None:
    ratio = Ratio(0.5, 1.0)
    for _ in range(50):
        ratio.add(1.0, 1.0)
    assert ratio.value > 0.95
    for _ in range(200):
        ratio.fade(0.95)
    assert ratio.value == pytest.approx(0.5, abs=1e-2)


def test_the_best_length_is_that_of_the_formula() -> None:
    made = model()
    arm = made.arms["tli"]

    def a_token(n: int) -> float:
        accepted = sum(arm.acceptance.value**i for i in range(n + 1))
        return (n * 0.1 + 1 + WIDER * n + 0.02) / accepted

    seconds, length = made.best(arm, 100, 1)
    assert seconds == pytest.approx(min(map(a_token, range(1, 9))))
    assert length == min(range(1, 9), key=a_token)
    assert made.best(arm, 0, 1)[1] == 0
    assert made.best(arm, 2, 1)[1] <= 2


def test_what_is_learnt_of_a_round() -> None:
    made = model()
    arm = made.arms["tli"]
    for _ in range(40):  # four draft tokens, three candidates of which one holds
        made.observe("tli", Round(4, 3, 1, 2, 4, 1, target_seconds=1.2, seconds=1.2 + 0.8 + 0.02))
    assert arm.acceptance.value == pytest.approx(0.5, abs=0.02)
    assert arm.width.value == pytest.approx(0.75, abs=0.05)
    assert made.step(arm) == pytest.approx(0.2)
    assert made.target(4) == pytest.approx(1.2)
    assert made.plain() == pytest.approx(1.02)
    assert arm.lost == pytest.approx(40 * (2.02 - 2 * 1.02))


def test_a_prompt_is_no_measurement_of_a_round() -> None:
    made = model(rounds=0)
    made.observe(None, replace(PLAIN, fed=500, target_seconds=40.0, seconds=41.0))
    assert made.plain() is None
    assert made.verify == {}


def test_reading_costs_what_it_took_and_until_then_its_share_of_the_target_s_prompt() -> None:
    made = model()
    arm = made.arms["tli"]
    made.observe(None, replace(PLAIN, fed=500, target_seconds=25.0, seconds=25.02))
    assert made.catching_up(arm, 400) == pytest.approx(400 * 0.1 * 25 / 500)
    assert made.catching_up(arm, 2) == 0
    made.observe("tli", Round(2, 2, 2, 3, 3, 400, target_seconds=1.06, seconds=1.06 + 0.02 + 0.2 + 8.0))
    assert made.catching_up(arm, 100) == pytest.approx(2.0)
    assert not arm.steps  # a round with a long backlog tells nothing of a step


def test_an_account_that_is_overdrawn_pays_for_nothing() -> None:
    made = model(rounds=100)
    arm = made.arms["tli"]
    arm.lost = ALLOWANCE * 100 * 1.02 + GRACE * 1.02 + 0.01
    assert made.best(arm, 100, 1)[1] == 0
    made.observe(None, PLAIN)
    assert made.best(arm, 100, 1)[1] > 0


def test_gains_pay_ahead_only_so_far() -> None:
    made = model()
    for _ in range(100):
        made.observe("tli", Round(4, 4, 4, 5, 5, 1, target_seconds=1.1, seconds=1.5))
    assert made.arms["tli"].lost == pytest.approx(-GRACE * 1.02)


def test_of_a_draft_of_unknown_cost_reading_is_told_from_drafting() -> None:
    """A first round of a short text must not make all long ones look dear."""
    made = model(Arm(range(5, 6), 0.0))
    arm = made.arms["tli"]
    made.observe("tli", Round(5, 5, 1, 2, 6, 12, target_seconds=1.1, seconds=1.1 + 1.3 + 0.02))
    assert made.catching_up(arm, 2000) == pytest.approx(2000 * WIDER * 1.3 / (5 + WIDER * 12))


def test_reading_is_forecast_before_any_prompt_was_timed() -> None:
    made = model()
    assert made.catching_up(made.arms["tli"], 1000) == pytest.approx(1000 * 0.1 * WIDER)


def test_rows_that_accept_different_lengths_are_counted_candidate_by_candidate() -> None:
    made = model()
    arm = made.arms["tli"]
    held = [0, 4, 4, 0]  # of four candidates: eight held of the ten that were judged
    for _ in range(60):
        mean, judged = sum(held) / 4, sum(min(n + 1, 4) for n in held) / 4
        made.observe("tli", Round(4, 4, mean, mean + 1, 5, 1, 1.2, 1.6, judged=judged))
    assert arm.acceptance.value == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(("line", "beside", "longest"), [(0.3, 0.25, 4), (0.45, 0.2, 8), (0.6, 0.2, 8)])
def test_what_a_tree_brings_is_learnt_as_tokens_a_pass(line: float, beside: float, longest: int) -> None:
    """A candidate beside the line that holds ends the path: no chance of more is read into it."""
    made = CostModel({"tli": Arm(range(1, 9), 0.1)}, memory=1.0)
    chance, emitted = Random(0), []
    for _ in range(4000):
        held = 0
        while held < longest and (draw := chance.random()) < line + beside:
            held += 1
            if draw >= line:
                break
        emitted.append(held + 1)
        made.observe("tli", Round(4, longest, held, held + 1, 2 * longest, 1, 1.2, 1.3, verified=2 * longest))
    found = tokens(made.arms["tli"].acceptance.value, longest)
    assert found == pytest.approx(sum(emitted) / len(emitted), rel=0.03)


def test_nominal_times_are_by_weights() -> None:
    drafted = Round(3, 2, 1, 2, 3, 101, target_seconds=9.0, seconds=99.0).nominal(0.2)
    assert drafted.target_seconds == pytest.approx(1 + 2 * WIDER)
    assert drafted.seconds == pytest.approx(1 + 2 * WIDER + 0.2 * 3)
    assert PLAIN.nominal(0.2).seconds == 1


@pytest.mark.parametrize("drafted", range(9))
def test_drawn_one_by_one_a_block_is_as_much_work_as_it_has_tokens(drafted: int) -> None:
    assert work(drafted, 1) == drafted


def test_a_block_of_a_draft_that_looks_ahead_is_about_as_much_work_as_its_passes() -> None:
    assert [work(n, 4) for n in (0, 1, 4, 5, 8, 9)] == pytest.approx(
        [0, 1, 1 + 3 * BESIDE, 2 + 3 * BESIDE, 2 + 6 * BESIDE, 3 + 6 * BESIDE]
    )
    drafted = Round(4, 2, 1, 2, 3, 101, target_seconds=9.0, seconds=99.0).nominal(0.2, 4)
    assert drafted.seconds == pytest.approx(1 + 2 * WIDER + 0.2 * (1 + 3 * BESIDE))


def test_of_a_draft_that_looks_ahead_a_pass_is_learnt_from_blocks_of_any_length() -> None:
    made = model(Arm(range(1, 9), 0.5, ahead=4))
    arm = made.arms["tli"]
    for length in (1, 3, 4, 6, 8):
        spent = 0.4 * work(length, 4)
        made.observe("tli", Round(length, length, 0, 1, length + 1, 1, 1.2, 1.2 + spent + 0.02))
        assert made.step(arm) == pytest.approx(0.4)


def test_a_candidate_beside_the_line_pays_by_its_chance_and_by_what_a_wider_pass_costs() -> None:
    made, arm = model(Arm(range(1, 9), 0.1)), Arm(range(1, 9), 0.1)
    for fed, seconds in ((1, 1.0), (3, 1.0), (7, 1.8), (11, 2.0), (19, 2.0), (23, 2.0)):
        made.add_pass(fed, seconds)
    arm.trust = Ratio(0.5, 1.0)
    price = 0.4
    assert made.pays(arm, 2, price) == pytest.approx(0.2 / 0.4 / 0.5)  # from 3 to 7 tokens, 0.2 each
    assert made.pays(arm, 6, price) == pytest.approx(0.05 / 0.4 / 0.5)
    flat = CostModel({"tli": arm})
    for fed in (1, 3, 9, 19):
        flat.add_pass(fed, 1.0)
    assert flat.pays(arm, 2, price) == 0.0
    assert flat.pays(arm, 2, 0.0) == 0.0
    flat.add_pass(19, 5.0)  # flat up to nine tokens; sixteen more are not free
    flat.add_pass(19, 5.0)
    flat.add_pass(19, 5.0)
    assert flat.pays(arm, 2, price) == pytest.approx(4 / 16 / 0.4 / 0.5)


def test_trust_in_the_draft_s_chances_is_what_held_of_what_was_expected() -> None:
    made = model()
    arm = made.arms["tli"]
    seen = Round(4, 4, 1, 2, 9, 1, 1.2, 1.3, verified=8)
    for _ in range(60):
        made.observe("tli", replace(seen, beside=(1, 4.0)))
    assert arm.trust.value == pytest.approx(0.25, abs=0.01)
    for _ in range(60):  # where none stood beside the line it fades to what was thought at first
        made.observe("tli", replace(seen, beside=(0, 0.0)))
    assert 0.25 < arm.trust.value < 0.5


def test_what_was_drafted_from_one_pass_is_no_long_backlog() -> None:
    """Nothing of it is cached: of a block of 8 that held, 9 ids or more are read with the next one."""
    made = model(Arm(range(1, 9), 0.0, ahead=8))
    arm = made.arms["tli"]
    for _ in range(40):
        made.observe("tli", Round(8, 8, 8, 9, 9, 9, 1.2, 1.2 + 0.4 * work(8, 8) + 0.02))
    assert made.step(arm) == pytest.approx(0.4)
    assert arm.reading is None
    assert made.catching_up(arm, LONG + 7) == 0
    assert made.catching_up(Arm(range(1, 9), 0.5), LONG + 1) > 0


def test_whole_passes_are_drafted_where_a_pass_is_dear() -> None:
    """Token by token such a draft would not pay; what it sees from one pass does, and no pass more."""
    dear = {ahead: model(Arm(range(1, 9), 0.9, acceptance=Ratio(0.8, 1.0), ahead=ahead)) for ahead in (1, 4)}
    found = {ahead: made.best(made.arms["tli"], 20, 1) for ahead, made in dear.items()}
    assert found[4][1] == 4
    assert found[4][0] < 1.02 < found[1][0]
