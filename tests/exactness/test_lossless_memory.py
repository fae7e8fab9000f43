"""A memory holds what earlier decodes drew, and one seed may be used again: the law stays the target's."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

import anydraft
import trained
from anydraft.sampling import laws
from anydraft.sampling.laws import SeededRandomness

PROMPT = "The quick brown"
SEEDS = 400
FALSE_ALARM = 1e-4
TOKENS, TEMPERATURE = 3, 4.0  # of what it has learnt, something else now and then
OPTIONS: dict[str, Any] = {"temperature": TEMPERATURE, "top_k": TOKENS}


@pytest.fixture(autouse=True)
def chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a large vocabulary: likely tokens lie in chunks of their own, and the first number decides."""
    monkeypatch.setattr(laws, "_CHUNK", 1)


def fit() -> float:
    """How well two tokens fit the target's law, of decodes that repeat a seed after it was remembered."""
    pair = anydraft.Speculator(*trained.pair(), method="lookup", num_draft_tokens=3)
    ids, law = pair.engine.prompt(PROMPT).ids, {}
    for first, p in following(pair, ids).items():
        law.update({(first, second): p * q for second, q in following(pair, [*ids, first]).items()})
    counts: Counter[tuple[int, ...]] = Counter()
    proposed = 0
    for seed in range(SEEDS):
        pair.engine._memory = anydraft.Memory()
        for again in (False, True):
            out = pair.generate(PROMPT, max_new_tokens=4, seed=seed, **OPTIONS)
            counts[tuple(out.token_ids[:2])] += again
            proposed += out.stats.proposed if again else 0
    assert proposed > SEEDS
    assert {told for told, count in counts.items() if count} <= law.keys()
    return float(chisquare([counts[told] for told in law], [SEEDS * p for p in law.values()]).pvalue)


def following(pair: anydraft.Speculator, ids: list[int]) -> dict[int, float]:
    """The target's law of the next token."""
    likeliest = pair.engine.models[0](torch.tensor([ids])).logits[0, -1].topk(TOKENS)
    return dict(
        zip(
            likeliest.indices.tolist(),
            (likeliest.values.double() / TEMPERATURE).softmax(0).tolist(),
            strict=True,
        )
    )


def test_a_seed_that_is_used_again_draws_from_the_targets_law() -> None:
    assert fit() > FALSE_ALARM


def test_candidates_that_the_same_draws_have_made_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeededRandomness, "apart", lambda self, number: self)
    assert fit() < FALSE_ALARM
