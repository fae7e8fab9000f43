"""The real pair: what comes out is what the target alone would say."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy import stats

import real_pair
from anydraft.proposers.registry import Method
from real_pair import PROMPTS, Name, Remembering
from sampled import one_of

pytestmark = pytest.mark.real

DIRECTIONS: list[tuple[Name, Name]] = [("gemma3", "smollm2"), ("smollm2", "gemma3")]
KNOWN_FAILURE = "The capital of France is Paris. The capital of Germany is Berlin. The best way to"
"""Where a widely used library emits " travel" with probability 0.007 in place of 0.623."""
SAMPLES = 1000
FALSE_ALARM = 1e-3
"""Probability that a correct sampler fails one chi-square here; seeds are fixed, so a pass stays a pass."""


@pytest.mark.parametrize(
    ("target", "draft", "prompt"),
    [
        case
        for i in (0, 1)
        for case in one_of(8, ((*DIRECTIONS[i], prompt) for prompt in PROMPTS), first=1 + 2 * i)
    ],
)
def test_greedy_output_is_the_targets_own(target: Name, draft: Name, prompt: str) -> None:
    pair = real_pair.speculator(target, draft, "slem")
    out = pair.generate(prompt, max_new_tokens=24)
    ids = torch.tensor([out.prompt_ids])
    alone = real_pair.model(target).generate(ids, max_new_tokens=24, do_sample=False)
    assert out.token_ids == alone[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("method", one_of(2, ["tli", "slem", "pushforward", "slrs"], first=1))
@pytest.mark.parametrize(
    ("target", "draft"), [DIRECTIONS[1], pytest.param(*DIRECTIONS[0], marks=pytest.mark.sweep)]
)
def test_sampling_has_the_targets_law(target: Name, draft: Name, method: Method) -> None:
    """Chi-square over two-token continuations; the false-alarm rate is :data:`FALSE_ALARM`."""
    models = {name: real_pair.remembering(name) for name in DIRECTIONS[0]}
    pair = real_pair.speculator(target, draft, method, num_draft_tokens=2)
    pair.engine.sequences = lambda: (fresh(models[target]), fresh(models[draft]))
    prompt = real_pair.tokenizer(target)(KNOWN_FAILURE)["input_ids"]
    opening = real_pair.tokenizer(draft)(KNOWN_FAILURE)["input_ids"]
    likely = law(models[target], prompt).argsort(descending=True)[:1000].tolist()
    drafted = law(models[draft], opening).argsort(descending=True)[:1000]
    images = torch.from_numpy(pair.bridge.tables.draft_to_target)[drafted].tolist()
    models[target].prefetch(prompt, sorted({*likely, *(t for t in images if t >= 0)}))
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(SAMPLES):
        out = pair.generate(KNOWN_FAILURE, max_new_tokens=2, temperature=1.0, seed=seed)
        counts[tuple(out.token_ids)] += 1
    expected = two_token_law(models[target], prompt)
    assert p_value(counts, expected) > FALSE_ALARM
    # the same test must notice a law in which the likeliest pair loses two thirds of its probability
    wrong = Counter(counts)
    (first, second), common = expected[0][0], counts[expected[0][0]]
    wrong[first, second] -= 2 * common // 3
    wrong[-1, -1] += 2 * common // 3
    assert p_value(wrong, expected) < FALSE_ALARM


def fresh(model: Remembering) -> Remembering:
    model.crop(0)
    return model


def two_token_law(model: Remembering, prompt: list[int]) -> list[tuple[tuple[int, int], float]]:
    """The likeliest continuations with their probabilities, in descending order."""
    first = law(model, prompt)
    found = []
    for a in first.argsort(descending=True)[:12].tolist():
        second = law(model, [*prompt, a])
        found += [
            ((a, b), float(first[a] * second[b])) for b in second.argsort(descending=True)[:30].tolist()
        ]
    return sorted(found, key=lambda item: -item[1])


def law(model: Remembering, ids: list[int]) -> torch.Tensor:
    model.crop(0)
    return model.advance(torch.tensor(ids))[0].double().softmax(0)


def p_value(counts: Counter[tuple[int, ...]], expected: list[tuple[tuple[int, int], float]]) -> float:
    """Pearson's test with one cell for all that is expected less than eight times."""
    cells = [(ids, p * SAMPLES) for ids, p in expected if p * SAMPLES >= 8]
    seen = [counts[ids] for ids, _ in cells]
    wanted = [count for _, count in cells]
    assert len(cells) >= 8
    return float(stats.chisquare([*seen, SAMPLES - sum(seen)], [*wanted, SAMPLES - sum(wanted)]).pvalue)
