"""How blocks are drafted: judged in a simulated world, whose best answer is known, and in tiny decodes."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import small
from anydraft.decoding.loop import decode
from anydraft.engine.begin import begin
from anydraft.engine.kinds import Kind
from anydraft.engine.options import SamplingOptions
from anydraft.scheduling.cost import ALLOWANCE, GRACE, LONG, REFRESH, Round
from anydraft.scheduling.directors import LOOKUP, Adaptive, Choice, Fixed, director
from simulated import World

PLAIN = Round(0, 0, 0, 1, 1, 1, 1.0, 1.02)
AUTO = (LOOKUP, "slrs", "tli")


def later(made: Adaptive, world: World, tokens: int = 256, runs: int = 6) -> float:
    """The mean speed after a first decode."""
    world.run(made, tokens)
    seeds = range(world.seed + 1, world.seed + 1 + runs)
    return sum(replace(world, seed=seed).speed(made, tokens) for seed in seeds) / runs


def best_fixed(world: World, method: str, lengths: Sequence[int] = range(1, 17)) -> float:
    return max(world.speed(Fixed(method, length), 2000) for length in lengths)


def known(*methods: str, cost: float = 0.1) -> Adaptive:
    """A director that knows the plain time."""
    made = Adaptive(methods, cost)
    for _ in range(2):
        made.observe(None, PLAIN)
    return made


def test_fixed_is_fixed_but_for_the_limit() -> None:
    fixed = Fixed("tli", 5)
    fixed.observe(None, PLAIN)
    assert fixed.methods == ("tli",)
    assert fixed.choose(9, 1, 60) == Choice("tli", 5)
    assert fixed.choose(3, 1, 0) == Choice("tli", 3)
    assert fixed.choose(0, 1, 0) is None
    assert fixed.choose(10, None, 60) is None
    assert Fixed(LOOKUP, 4).choose(10, None, 8) == Choice(LOOKUP, 4)
    assert Fixed(LOOKUP, 4).choose(10, 1, 0) is None


def test_nothing_is_drafted_before_the_plain_time_is_known() -> None:
    made = Adaptive(AUTO, 0.1)
    for _ in range(2):
        assert made.choose(100, 1, 40) is None
        made.observe(None, PLAIN)
    assert made.choose(100, 1, 40) is not None


def test_the_plain_time_is_kept_known() -> None:
    made = known("tli")
    rounds = []
    for _ in range(3 * REFRESH):
        choice = made.choose(100, 1, 0)
        rounds.append(choice)
        n = choice.length if choice else 0
        made.observe(choice, Round(n, n, n, n + 1, n + 1, 1, 1.0, 1.02 + 0.05 * n) if n else PLAIN)
    assert rounds.count(None) == 2


@pytest.mark.parametrize(
    ("draft", "acceptance"), [(0.1, 0.8), (0.05, 0.6), (0.2, 0.7), (0.15, 0.9), (0.5, 0.8)]
)
@pytest.mark.parametrize("width", [1.0, 0.7])
def test_it_comes_near_the_best_fixed_length(draft: float, acceptance: float, width: float) -> None:
    world = World(draft, {"tli": acceptance}, width=width, noise=0.05, outliers=0.02)
    assert later(Adaptive(("tli",), draft), world) >= 0.9 * best_fixed(world, "tli", range(1, 9))


def test_a_jump_in_the_cost_of_verifying_is_seen() -> None:
    world = World(0.1, {"tli": 0.8}, verify=lambda fed: 1.0 if fed == 1 else 1.7 + 0.03 * fed)
    assert later(Adaptive(("tli",), 0.1), world) >= 0.95 * best_fixed(world, "tli", range(1, 9)) > 1.1


def test_the_method_that_brings_more_is_used_more() -> None:
    for best, other in (("slrs", "tli"), ("tli", "slrs")):
        told = World(0.1, {best: 0.85, other: 0.6}).run(Adaptive(AUTO, 0.1), 2000)
        assert told.used[best] > 3 * told.used[other]


def test_lookups_are_used_where_they_match_and_hold() -> None:
    told = World(0.1, {"slrs": 0.6, "tli": 0.6, LOOKUP: 0.95}, matches=0.5).run(Adaptive(AUTO, 0.1), 2000)
    assert told.used[LOOKUP] > 0.4 * told.used.total()
    assert 2000 * 1.02 / told.seconds > 2
    told = World(0.1, {"slrs": 0.8, "tli": 0.8, LOOKUP: 0.1}, matches=0.5).run(Adaptive(AUTO, 0.1), 2000)
    assert told.used[LOOKUP] < 0.15 * told.used.total()


def test_a_lookup_that_would_have_held_is_taken_up_again() -> None:
    made = known(LOOKUP, "slem")
    missed = Round(4, 4, 0, 1, 5, 1, 1.1, 1.12)
    drafted = Round(4, 4, 2, 3, 5, 1, 1.1, 1.3)
    while (choice := made.choose(100, 1, 40)) is not None and choice.method == LOOKUP:
        made.observe(choice, missed)
    apart = copy.deepcopy(made)
    for _ in range(3):
        made.observe(Choice("slem", 4), replace(drafted, foreseen=(3, 3)))
        apart.observe(Choice("slem", 4), replace(drafted, foreseen=None))
    rates = [one.costs.arms[LOOKUP].acceptance.value for one in (made, apart)]
    assert rates[0] > 0.8 > rates[1]
    assert (made.choose(100, 1, 40) or drafted).method == LOOKUP  # type: ignore[union-attr]
    assert apart.choose(100, 1, 40) != made.choose(100, 1, 40)


def test_lookups_go_on_where_the_draft_does_not_pay() -> None:
    """Each has an account of its own, so that a draft's losses do not stop lookups."""
    world = World(2.0, {"slrs": 0.9, "tli": 0.9, LOOKUP: 0.9}, matches=0.3, reading=0.1)
    told = world.run(Adaptive(AUTO, 0.2), 1000, prompt=200)
    assert told.used["slrs"] + told.used["tli"] < 12
    assert told.used[LOOKUP] > 50
    assert 1000 * world.plain / told.seconds > 1.5


def test_it_notices_when_drafting_pays_and_when_it_does_no_more() -> None:
    made = Adaptive(("tli",), 0.1)
    later(made, World(0.1, {"tli": 0.05}))
    assert later(made, World(0.1, {"tli": 0.9})) > 1.5
    assert later(made, World(0.1, {"tli": 0.05})) >= 0.95
    world = World(0.1, {"tli": lambda emitted: 0.9 if emitted // 400 % 2 else 0.0})
    assert world.speed(made, 4000) > 1.3


@pytest.mark.parametrize("slow", ["draft", "target"])
def test_a_slow_spell_does_not_end_drafts_for_good(slow: str) -> None:
    made = known("tli")
    for _ in range(3):  # a draft that pays, were it not for the machine
        draft, target = (5.0, 1.1) if slow == "draft" else (0.4, 6.5)
        made.observe(Choice("tli", 4), Round(4, 4, 2, 3, 5, 1, target, target + draft + 0.02))
    assert made.choose(100, 1, 0) is None
    told = World(0.1, {"tli": 0.8}).run(made, 3000)
    assert told.used["tli"] > 0.5 * told.used.total()


def test_a_draft_thought_to_be_dear_may_turn_out_cheap() -> None:
    assert later(Adaptive(("tli",), 0.3), World(0.05, {"tli": 0.8})) > 1.7


@given(
    draft=st.floats(0.0, 4.0),
    rates=st.lists(st.floats(0.0, 0.95), min_size=1, max_size=6),
    looked_up=st.floats(0.0, 0.5),
    matches=st.floats(0.0, 1.0),
    reading=st.floats(0.0, 0.05),
    cost=st.floats(0.01, 1.0),
    wide=st.floats(0.0, 0.3),
    slow=st.floats(0.0, 0.45),
    seed=st.integers(0, 1000),
)
def test_what_drafting_may_lose_is_bounded_in_measured_time(
    draft: float,
    rates: list[float],
    looked_up: float,
    matches: float,
    reading: float,
    cost: float,
    wide: float,
    slow: float,
    seed: int,
) -> None:
    """Whatever drafts cost, whatever medians hide, and however their luck turns; reading prompts included.

    Since its best moment a decode has lost no more than the allowance, and for each way to draft what its
    account holds and the round that overdraws it.
    """
    world = World(
        draft,
        {
            "slrs": lambda emitted: rates[emitted // 60 % len(rates)],
            "tli": lambda emitted: rates[-1 - emitted // 90 % len(rates)],
            LOOKUP: looked_up,
        },
        matches=matches,
        verify=lambda fed: 1.0 + wide * (fed - 1),
        reading=reading,
        slow=slow,
        seed=seed,
    )
    told = world.run(Adaptive(AUTO, cost), 400, prompt=100)
    account = 2 * GRACE * world.plain + told.longest
    assert told.fall <= ALLOWANCE * told.seconds + len(AUTO) * account


@pytest.mark.parametrize("draft", [0.2, 0.6, 1.5, 5.0])
def test_a_draft_that_never_pays_costs_about_two_per_cent(draft: float) -> None:
    world = World(draft, {}, matches=1.0, reading=0.01)
    told = world.run(Adaptive(AUTO, draft), 6000, prompt=300)
    lost = told.seconds - told.emitted * world.plain
    assert lost <= ALLOWANCE * told.seconds + len(AUTO) * (GRACE * world.plain + told.longest)
    assert lost <= 0.03 * told.seconds


def test_what_no_median_shows_is_booked() -> None:
    """Estimates say that this draft pays, always; the account knows better."""
    world = World(0.1, {"tli": 0.6}, slow=0.4)
    told = world.run(Adaptive(("tli",), 0.1), 3000)
    assert told.seconds - told.emitted * world.plain <= ALLOWANCE * told.seconds + GRACE * world.plain + 10
    assert told.used["none"] > 0.8 * told.used.total()


def test_what_a_draft_reads_beside_the_target_s_prompt_is_booked() -> None:
    made = known("tli")
    choice = made.choose(100, 500, 0)
    assert choice is not None
    n = choice.length
    seen = Round(n, n, n, n + 1, 500 + n, 500, target_seconds=9.0, seconds=9.0 + 30.0 + 0.02)
    made.observe(choice, seen)
    assert made.costs.arms["tli"].lost == pytest.approx(30 + 1.0 * (1 + 0.03 * n) + 0.02 - (n + 1) * 1.02)
    assert made.choose(100, 1, 0) is None


def test_a_long_backlog_is_not_caught_up_for_a_few_tokens() -> None:
    made = Adaptive(("tli",), 0.1)
    later(made, World(0.1, {"tli": 0.8}, reading=0.004))
    assert made.choose(100, 1, 0) is not None
    assert made.choose(100, 500, 0) is not None
    assert made.choose(3, 500, 0) is None
    assert made.choose(3, LONG, 0) is not None


def test_without_a_draft_only_lookups_are_left() -> None:
    made = known(*AUTO)
    assert made.choose(100, None, 0) is None
    choice = made.choose(100, None, 64)
    assert choice is not None
    assert choice.method == LOOKUP


def test_a_clock_too_coarse_for_a_pass_drafts_nothing() -> None:
    made = Adaptive(AUTO, 0.1)
    for _ in range(3):
        made.observe(None, Round(0, 0, 0, 1, 1, 1, 0.0, 0.0))
    assert made.choose(50, 1, 64) is None


def test_a_clock_that_says_0_for_some_rounds_raises_nothing() -> None:
    made, chance = Adaptive(AUTO, 0.0), random.Random(0)
    for _ in range(300):
        choice = made.choose(50, chance.choice([1, 200]), chance.choice([0, 40]))
        n = choice.length if choice else 0
        seconds = chance.choice([0.0, 0.0, 0.015])
        made.observe(choice, Round(n, n, n // 2, n // 2 + 1, n + 1, 1, seconds, seconds))


def test_a_nominal_director_does_not_look_at_the_clock() -> None:
    """Two runs with wildly different times make the same choices."""

    def run(seed: int) -> list[Choice | None]:
        chance, accepts = random.Random(seed), random.Random(5)
        nominal = director("auto", "auto", "sampling", 0.1, times="nominal")
        made: list[Choice | None] = []
        for _ in range(60):
            choice = nominal.choose(50, 1, 12 if len(made) % 7 == 0 else 0)
            made.append(choice)
            asked = choice.length if choice else 0
            held = 0
            while held < asked and accepts.random() < 0.8:
                held += 1
            target, rest = chance.uniform(0.001, 10), chance.uniform(0.001, 10)
            nominal.observe(choice, Round(asked, asked, held, held + 1, asked + 1, 1, target, target + rest))
        return made

    assert run(0) == run(1)
    assert len({choice.length for choice in run(0) if choice}) > 1


def test_a_nominal_director_drafts_behind_a_long_prompt() -> None:
    made = director("auto", "auto", "greedy", 0.2, times="nominal")
    made.observe(None, Round(0, 0, 0, 1, 2000, 2001, 9.0, 9.1))
    for _ in range(2):
        made.observe(None, Round(0, 0, 0, 1, 1, 2001, 1.0, 1.1))
    assert made.choose(100, 2001, 0) is not None
    assert known("slem").choose(100, 2001, 0) is None  # by the clock it would have to be earned first


def test_threads_may_learn_together() -> None:
    """Whoever looks at the times while another adds to them must find them whole."""
    made, errors = known("slem"), []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(3000):
                choice = made.choose(50, 1, 0)
                n = choice.length if choice else 0
                fed = chance.choice([n + 1, 40])
                made.observe(choice, Round(n, n, n // 2, n // 2 + 1, fed, 1, 1.0 + chance.random(), 3.0))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_it_is_a_function_of_what_it_saw() -> None:
    world = World(0.1, {"tli": lambda n: 0.9 if n % 100 < 50 else 0.2}, noise=0.1)
    first, second = Adaptive(AUTO, 0.1), Adaptive(AUTO, 0.1)
    world.run(first, 300)
    world.run(second, 300)
    assert first.choose(50, 1, 40) == second.choose(50, 1, 40)
    assert first.costs.arms["tli"].lost == second.costs.arms["tli"].lost


def test_what_decides_for_which_arguments() -> None:
    assert director("auto", 3, "sampling", 0.1) == Fixed("slrs", 3)
    assert director("tli", 3, "greedy", 0.1) == Fixed("tli", 3)
    assert director("auto", "auto", "greedy", 0.1).methods == (LOOKUP, "slem")
    assert director("auto", "auto", "sampling", 0.1).methods == AUTO
    assert director("tli", "auto", "greedy", 0.1).methods == ("tli",)
    assert director(LOOKUP, "auto", "greedy", 0.1).methods == (LOOKUP,)


def test_each_kind_of_decode_learns_for_itself() -> None:
    directors = small.speculator().engine.directors
    kinds = [
        Kind(greedy, rows, trims) for greedy in (True, False) for rows in (1, 4) for trims in (True, False)
    ]
    made = [directors.find("measured", kind, "auto") for kind in kinds]
    assert len(set(map(id, made))) == len(kinds)
    assert [directors.find("measured", kind, "auto") for kind in kinds] == made
    nominal = [directors.find("nominal", kinds[0], "auto") for _ in range(2)]
    assert nominal[0] is not nominal[1]


def test_a_row_that_was_crowded_asks_about_trees_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = small.speculator(num_draft_tokens=3).engine
    row = begin(engine, engine.prompt("The quick"), engine.caches(), SamplingOptions())
    assert row.try_trees()
    monkeypatch.setattr(type(row.target), "branches", False)
    engine.direct(row, 2)
    assert not row.try_trees()
    engine.direct(row, 1)
    assert not row.try_trees()  # as in a context of llama.cpp that others have shared


def test_what_decides_with_trees_is_not_what_decides_without() -> None:
    engine = small.speculator(num_draft_tokens="auto").engine
    blind, reading = (
        begin(
            engine, engine.prompt("The quick"), engine.caches(), SamplingOptions(repetition_penalty=penalty)
        )
        for penalty in (1.0, 1.2)
    )
    assert (blind.trees, reading.trees) == (True, False)
    assert blind.director is not reading.director
    for row in (blind, reading):
        engine.direct(row, 2)
    assert blind.director is reading.director  # nobody has trees there, and rows decide together
    engine.direct(blind, 1)
    told: list[Round] = []
    blind.director.observe = lambda choice, seen: told.append(seen)  # type: ignore[method-assign]
    list(decode([blind]))
    assert told
    assert all(seen.judged is None for seen in told)  # what a path may still hold is counted by its length


REPEATED = "The quick brown fox jumps over the lazy dog. " * 3


@pytest.mark.parametrize("method", ["auto", "slem", "tli", "slrs", "lookup"])
@pytest.mark.parametrize("swap", [False, True])
def test_lengths_of_their_own_change_no_greedy_token(method: Any, swap: bool) -> None:
    wanted = small.speculator(swap=swap, method="slem").generate(REPEATED, max_new_tokens=40).token_ids
    pair = small.speculator(swap=swap, method=method, num_draft_tokens="auto")
    for _ in range(3):
        out = pair.generate(REPEATED, max_new_tokens=40)
        assert out.token_ids == wanted
        assert out.stats.tokens == 40
        assert out.stats.looked_up <= out.stats.accepted


def test_lookup_needs_no_pass_of_the_draft() -> None:
    out = small.speculator(method="lookup").generate(REPEATED, max_new_tokens=40)
    assert out.stats.draft_passes == 0
    assert out.stats.drafted == 0
    assert out.stats.looked_up == out.stats.accepted


def test_a_copy_is_looked_up_and_accepted() -> None:
    pair = small.speculator(method="lookup", num_draft_tokens=8)
    first = pair.generate(REPEATED, max_new_tokens=60)
    again = pair.generate(
        input_ids=[*first.prompt_ids, *first.token_ids, *first.prompt_ids], max_new_tokens=30
    )
    assert again.stats.proposed > 0


def test_sampling_by_itself_stays_within_its_limits() -> None:
    pair = small.speculator(num_draft_tokens="auto")
    for seed in range(3):
        out = pair.generate(REPEATED, max_new_tokens=30, temperature=0.8, seed=seed)
        assert out.stats.tokens == len(out.token_ids) <= 30
