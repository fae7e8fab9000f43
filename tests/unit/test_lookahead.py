"""How many tokens to draft: judged in a simulated world, where the best answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anydraft.scheduling.lookahead import Fixed, Lookahead, Stop
from anydraft.scheduling.rounds import Clock, Pace, Round
from simulated import Simulation

PLAIN = Round(0, 0, 0, 0, 1, 1, 1, 0.0, 1.0, 1.02)


def later(policy: Lookahead, simulation: Simulation, runs: int = 6) -> float:
    """The mean speed after a first decode."""
    simulation.run(policy, 256)
    speeds = [replace(simulation, seed=simulation.seed + i).run(policy, 256) for i in range(1, runs + 1)]
    return sum(speeds) / runs


def best_fixed(simulation: Simulation) -> float:
    return max(simulation.run(Fixed(length), 2000) for length in range(1, 12))


def test_a_fixed_length_is_fixed_but_for_the_limit() -> None:
    policy = Fixed(5)
    policy.observe(PLAIN)
    assert (policy.choose(9), policy.choose(3), policy.choose(-1), policy.stop()) == (5, 3, 0, None)


def test_nothing_is_drafted_before_the_plain_time_is_known() -> None:
    policy = Lookahead()
    assert policy.choose(100) == 0
    policy.observe(PLAIN)
    assert policy.choose(100) == 0
    policy.observe(PLAIN)
    assert 1 <= policy.choose(100) <= 2


def test_a_prompt_is_no_measurement() -> None:
    policy = Lookahead()
    policy.observe(replace(PLAIN, fed=500, target_seconds=40.0))
    assert policy.clock.plain() is None


def test_a_draft_thought_to_be_dear_is_looked_at_once() -> None:
    policy, tried = Lookahead(pace=Pace(2.0)), []
    for i in range(2000):
        asked = policy.choose(100)
        tried += [i] * (asked > 0)
        dear = replace(PLAIN, asked=1, drafted=1, proposed=1, fed=2, draft_seconds=2.0, seconds=3.02)
        policy.observe(dear if asked else PLAIN)
    assert len(tried) == 1
    assert tried[0] > 90  # 2 % of so many rounds pay for it


def test_a_draft_thought_to_be_dear_may_turn_out_cheap() -> None:
    simulation = Simulation(0.1, lambda _: 0.8)
    assert later(Lookahead(pace=Pace(2.0)), simulation) > 1.7


@pytest.mark.parametrize(("draft", "acceptance"), [(0.1, 0.8), (0.05, 0.6), (0.2, 0.7), (0.15, 0.9)])
def test_it_comes_near_the_best_fixed_length(draft: float, acceptance: float) -> None:
    simulation = Simulation(draft, lambda _: acceptance)
    assert later(Lookahead(), simulation) >= 0.9 * best_fixed(simulation)


@pytest.mark.parametrize(
    ("draft", "acceptance"), [(0.2, 0.1), (1.5, 0.9), (0.6, 0.3), (0.3, 0.0), (5.0, 0.9)]
)
def test_it_is_never_much_slower_than_no_draft(draft: float, acceptance: float) -> None:
    simulation = Simulation(draft, lambda _: acceptance, outliers=0.0)
    assert later(Lookahead(), simulation) >= 0.97
    assert simulation.run(Lookahead(pace=Pace(draft)), 256) >= 0.95


def test_it_notices_when_drafting_pays_again() -> None:
    policy = Lookahead()
    later(policy, Simulation(0.1, lambda _: 0.05))
    assert later(policy, Simulation(0.1, lambda _: 0.9)) > 1.5
    assert later(policy, Simulation(0.1, lambda _: 0.05)) >= 0.96


def test_a_jump_in_the_cost_of_verifying_is_seen() -> None:
    policy = Lookahead()
    simulation = Simulation(0.1, lambda _: 0.8, verify=lambda fed: 1.0 if fed == 1 else 1.7 + 0.03 * fed)
    assert later(policy, simulation) > 1.15


def test_it_is_a_function_of_what_it_saw() -> None:
    first, second = Lookahead(), Lookahead()
    simulation = Simulation(0.1, lambda n: 0.9 if n % 100 < 50 else 0.2)
    simulation.run(first, 300)
    simulation.run(second, 300)
    assert first.choose(50) == second.choose(50)
    assert first.best(50) == second.best(50)
    assert first.stop() == second.stop()


def test_a_long_backlog_is_not_caught_up_for_a_few_tokens() -> None:
    policy = Lookahead()
    later(policy, Simulation(0.1, lambda _: 0.8))
    assert policy.choose(100, 1) > 1
    assert policy.choose(100, 2000) >= 0
    assert policy.choose(4, 2000) == 0


def test_drafts_of_one_target_share_its_clock() -> None:
    clock = Clock()
    one, other = Lookahead(clock), Lookahead(clock)
    one.observe(PLAIN)
    one.observe(PLAIN)
    assert other.choose(10) > 0


def test_a_block_ends_where_the_draft_is_unsure() -> None:
    stop = Stop((0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 1.0), 0.4)
    assert not stop.is_last([0.99, 0.9])
    assert stop.is_last([0.99, 0.9, 0.35])
    assert stop.is_last([0.1])


def test_a_dear_draft_stops_sooner() -> None:
    floors = []
    for draft in (0.02, 0.3):
        policy = Lookahead()
        later(policy, Simulation(draft, lambda _: 0.8))
        stop = policy.stop()
        assert stop is not None
        floors.append(stop.floor)
    assert floors[0] < floors[1] <= 0.9
