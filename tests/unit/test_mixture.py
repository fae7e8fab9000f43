"""Which draft is used next: judged in a simulated world, and in decodes of tiny models."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import small
from anydraft.scheduling.lookahead import Fixed, Lookahead, Promise
from anydraft.scheduling.mixture import LOOKUP, NEAR, PAUSE, Choice, Directors, Mixture, Single
from anydraft.scheduling.rounds import Round

METHODS = ("slrs", "tli")


def decode(
    mixture: Mixture,
    acceptance: dict[str, float],
    *,
    draft: float = 0.1,
    matches: float = 0.0,
    rounds: int = 600,
    seed: int = 0,
) -> tuple[float, Counter[str]]:
    """The speed as a multiple of plain decoding, and what was used how often."""
    chance, used = random.Random(seed), Counter[str]()
    emitted = seconds = 0.0
    for _ in range(rounds):
        match = 40 if chance.random() < matches else 0
        choice = mixture.choose(1000, 1, match)
        method, asked = (choice.method, choice.length) if choice else ("none", 0)
        held = 0
        while held < asked and chance.random() < acceptance[method]:
            held += 1
        took = 0.0 if method == LOOKUP else draft * asked
        target = 1 + 0.02 * asked
        mixture.observe(
            choice,
            Round(asked, asked, asked, held, held + 1, asked + 1, 1, took, target, took + target + 0.01),
        )
        used[method] += 1
        emitted += held + 1
        seconds += took + target + 0.01
    return emitted * 1.01 / seconds, used


def test_the_method_that_brings_more_is_used_more() -> None:
    for best, other in (METHODS, METHODS[::-1]):
        speed, used = decode(Mixture(METHODS), {best: 0.85, other: 0.75, LOOKUP: 0.0})
        assert used[best] > 3 * used[other]
        assert speed > 1.8


def test_a_method_that_is_far_behind_gets_no_trials() -> None:
    mixture = Mixture(METHODS, acceptance={"tli": 0.05})
    _, used = decode(mixture, {"slrs": 0.9, "tli": 0.05, LOOKUP: 0.0})
    assert used["tli"] == 0
    assert 0 < NEAR < 1


def test_a_draft_that_does_not_pay_is_not_asked_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    best = Lookahead.best

    def counted(self: Lookahead, limit: int, backlog: int = 1) -> Promise:
        nonlocal asked
        asked += 1
        return best(self, limit, backlog)

    monkeypatch.setattr(Lookahead, "best", counted)
    _, used = decode(Mixture(("tli",)), {"tli": 0.0}, draft=0.9, rounds=400)
    assert used["none"] > 380
    assert asked < 2 * 400 / (1 + PAUSE)


def test_what_was_measured_on_other_text_does_not_keep_a_draft_from_its_trials() -> None:
    known = {"slrs": 0.05, "tli": 0.02}
    speed, used = decode(
        Mixture(METHODS, cost=0.06, acceptance=known), {"slrs": 0.6, "tli": 0.5, LOOKUP: 0.0}, draft=0.06
    )
    assert used["none"] < 0.25 * sum(used.values())
    assert speed > 1.5
    speed, _ = decode(
        Mixture(METHODS, cost=0.06, acceptance=known), {"slrs": 0.05, "tli": 0.02, LOOKUP: 0.0}, draft=0.06
    )
    assert speed >= 0.97


def test_lookups_are_used_where_they_match_and_pay() -> None:
    speed, used = decode(Mixture(METHODS), {"slrs": 0.6, "tli": 0.6, LOOKUP: 0.95}, matches=0.5)
    assert used[LOOKUP] > 150
    assert speed > 2
    _, used = decode(Mixture(METHODS), {"slrs": 0.8, "tli": 0.8, LOOKUP: 0.1}, matches=0.5)
    assert used[LOOKUP] < 100


def test_lookups_go_on_where_the_draft_does_not_pay() -> None:
    speed, used = decode(
        Mixture(METHODS, cost=2.0), {"slrs": 0.9, "tli": 0.9, LOOKUP: 0.9}, draft=2.0, matches=0.3
    )
    assert used["slrs"] + used["tli"] <= 1
    assert used[LOOKUP] > 50
    assert speed > 1.2


@pytest.mark.parametrize("matches", [0.0, 0.5, 1.0])
def test_nothing_that_pays_means_nothing_is_lost(matches: float) -> None:
    speed, _ = decode(
        Mixture(METHODS), {"slrs": 0.05, "tli": 0.05, LOOKUP: 0.0}, draft=0.4, matches=matches, rounds=2000
    )
    assert speed >= 0.97


def test_without_a_draft_only_lookups_are_left() -> None:
    mixture = Mixture(METHODS)
    for _ in range(2):
        mixture.observe(None, Round(0, 0, 0, 0, 1, 1, 1, 0.0, 1.0, 1.01))
    assert mixture.choose(100, None, 0) is None
    choice = mixture.choose(100, None, 64)
    assert choice is not None
    assert choice.method == LOOKUP
    assert mixture.stop(choice) is None


def test_a_single_method_is_that_method() -> None:
    single = Single("tli", Fixed(4))
    assert single.choose(10, 1, 60) == Choice("tli", 4, 60)
    assert single.choose(0, 1, 0) is None
    assert single.choose(10, None, 60) is None
    assert Single(LOOKUP, Fixed(4)).choose(10, None, 8) == Choice(LOOKUP, 4, 8)
    assert Single(LOOKUP, Fixed(4)).choose(10, 1, 0) is None


def test_each_kind_of_decode_has_a_director_of_its_own() -> None:
    directors = Directors("auto", "auto", 0.1)
    assert directors.get(greedy=True) is directors.get(greedy=True)
    kinds = {id(directors.get(greedy=greedy, rows=rows)) for greedy in (True, False) for rows in (1, 4)}
    assert len(kinds) == 4
    fixed = Directors("auto", 3, 0.1).get(greedy=False)
    assert fixed.choose(9, 1, 50) == Choice("slrs", 3, 50)


REPEATED = "The quick brown fox jumps over the lazy dog. " * 3


@pytest.mark.parametrize("method", ["auto", "slem", "tli", "slrs", "lookup"])
@pytest.mark.parametrize("swap", [False, True])
def test_lengths_of_their_own_change_no_greedy_token(method: str, swap: bool) -> None:
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


def test_a_repeatable_director_does_not_look_at_the_clock() -> None:
    """Two runs with wildly different times make the same choices."""

    def run(seed: int) -> list[Choice | None]:
        chance, accepts = random.Random(seed), random.Random(5)
        director = Directors("auto", "auto", 0.1).repeatable()
        made: list[Choice | None] = []
        for _ in range(60):
            choice = director.choose(50, 1, 12 if len(made) % 7 == 0 else 0)
            made.append(choice)
            drafted = choice.length if choice and choice.method != LOOKUP else 0
            proposed = choice.length if choice else 0
            accepted = sum(1 for _ in iter(lambda: accepts.random() < 0.8, False)) if proposed else 0
            accepted = min(accepted, proposed)
            times = [chance.uniform(0.001, 10) for _ in range(3)]
            seen = Round(
                asked=proposed,
                drafted=drafted,
                proposed=proposed,
                accepted=accepted,
                emitted=accepted + 1,
                fed=proposed + 1,
                backlog=1,
                draft_seconds=times[0],
                target_seconds=times[1],
                seconds=sum(times),
            )
            director.observe(choice, seen)
        return made

    assert run(0) == run(1)
    assert len({choice.length for choice in run(0) if choice}) > 1


def test_a_clock_too_coarse_for_a_pass_drafts_nothing() -> None:
    mixture = Mixture(["slem"])
    for _ in range(3):
        mixture.observe(None, Round(0, 0, 0, 0, 1, 1, 1, 0.0, 0.0, 0.0))
    assert mixture.choose(50, 1, 64) is None
    assert Lookahead(mixture.clock).stop() is None
