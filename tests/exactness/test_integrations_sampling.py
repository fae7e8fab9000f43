"""Sampling through ``generate(custom_generate=...)``: the law is the target's, for every row of a batch."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
)

import anydraft
import trained
from anydraft.proposers.base import Block
from anydraft.proposers.registry import Method
from anydraft.proposers.tli import TokenLevelBlock, TokenLevelIntersection
from anydraft.sampling.laws import Randomness
from enumeration import EnumeratingRandomness, branches
from generating import World

METHODS: list[Method] = ["tli", "slem", "pushforward", "slrs"]
CUT = {"do_sample": True, "temperature": 1.7, "top_k": 3, "top_p": 1.0}
ENDLESS: dict[str, Any] = {"eos_token_id": 325}
"""An end token that cannot be drawn: a padded column."""
EXACT = 1e-5
"""Total variation that float32 leaves."""
FALSE_ALARM = 1e-3
"""Probability that a correct sampler fails one chi-square here; seeds are fixed, so a pass stays a pass."""

Law = dict[tuple[int, ...], float]


@cache
def world() -> World:
    return World(*trained.pair(), ["merci. Été", "12345 67 890", "def"], length=3)


def alone(inputs: dict[str, Tensor], row: int, length: int, penalty: float = 1.0) -> Law:
    """The law of the target's first tokens after a row, computed from its logits."""
    prompt = inputs["input_ids"][row][inputs["attention_mask"][row].bool()].tolist()
    processors = LogitsProcessorList()
    if penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(penalty))
    processors += [TemperatureLogitsWarper(CUT["temperature"]), TopKLogitsWarper(CUT["top_k"])]
    found: Law = {(): 1.0}
    for _ in range(length):
        longer: Law = {}
        for tokens, p in found.items():
            ids = torch.tensor([[*prompt, *tokens]])
            with torch.no_grad():
                law = processors(ids, world().target(ids).logits[:, -1].float())[0].double().softmax(0)
            longer |= {(*tokens, int(t)): p * float(law[t]) for t in law.nonzero()}
        found = longer
    return found


def distance(left: Law, right: Law) -> float:
    """Total variation."""
    return 0.5 * sum(abs(left.get(key, 0.0) - right.get(key, 0.0)) for key in {*left, *right})


def emitted(
    monkeypatch: pytest.MonkeyPatch, custom: Any, inputs: dict[str, Tensor], **options: Any
) -> dict[tuple[tuple[int, ...], ...], float]:
    """The law of what all rows emit, by walking every outcome of chance."""
    start = inputs["input_ids"].shape[1]

    def run(oracle: EnumeratingRandomness) -> tuple[tuple[int, ...], ...]:
        monkeypatch.setattr(
            "anydraft.integrations.transformers.method.SeededRandomness", lambda *_, **__: oracle
        )
        out = world().target.generate(**inputs, **{**CUT, **options}, custom_generate=custom)
        return tuple(tuple(row) for row in out[:, start:].tolist())

    found: dict[tuple[tuple[int, ...], ...], float] = defaultdict(float)
    for oracle, rows in branches(run):
        found[rows] += oracle.probability
    return found


def custom(method: Method, num_draft_tokens: int = 5) -> Any:
    return anydraft.custom_generate(
        world().draft,
        world().target_tokenizer,
        world().draft_tokenizer,
        method=method,
        num_draft_tokens=num_draft_tokens,
    )


@pytest.mark.parametrize("penalty", [1.0, 1.6])
@pytest.mark.parametrize("method", METHODS)
def test_the_law_of_one_row_by_enumeration(
    method: Method, penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = world().inputs()
    found = emitted(
        monkeypatch,
        custom(method, num_draft_tokens=2),
        inputs,
        max_new_tokens=2,
        repetition_penalty=penalty,
        **ENDLESS,
    )
    assert sum(found.values()) == pytest.approx(1.0, abs=EXACT)
    assert distance({rows[0]: p for rows, p in found.items()}, alone(inputs, 0, 2, penalty)) < EXACT


@pytest.mark.parametrize("method", ["tli", "slrs"])
def test_the_law_of_a_batch_by_enumeration(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are independent, each with its own law: the joint law is the product."""
    inputs = world().inputs(2)
    found = emitted(monkeypatch, custom(method, num_draft_tokens=1), inputs, max_new_tokens=1, **ENDLESS)
    left, right = alone(inputs, 0, 1), alone(inputs, 1, 1)
    both = {(a, b): left[a] * right[b] for a, b in itertools.product(left, right)}
    assert distance(found, both) < EXACT  # type: ignore[arg-type]


def test_a_wrong_proposal_law_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The draws are compared with a law that they were not drawn from."""
    verify = TokenLevelIntersection.verify

    def flattened(self: TokenLevelIntersection, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, TokenLevelBlock)
        flat = block.laws.sqrt()
        wrong = TokenLevelBlock(block.draft_ids, block.candidates, flat / flat.sum(-1, keepdim=True))
        return verify(self, wrong, laws, randomness)

    monkeypatch.setattr(TokenLevelIntersection, "verify", flattened)
    inputs = world().inputs()
    found = emitted(monkeypatch, custom("tli", num_draft_tokens=2), inputs, max_new_tokens=2, **ENDLESS)
    assert distance({rows[0]: p for rows, p in found.items()}, alone(inputs, 0, 2)) > 1e-3


@pytest.mark.parametrize("method", ["auto", "tli"])
def test_the_law_of_many_rows_by_chi_square(method: Method) -> None:
    """Two prompts, padded, each sampled 700 times in one call."""
    inputs, samples = world().inputs(2), 700
    out = world().target.generate(
        **inputs,
        **CUT,
        max_new_tokens=3,
        **ENDLESS,
        num_return_sequences=samples,
        custom_generate=custom(method, num_draft_tokens=2),
        seed=5,
    )
    assert out.shape == (2 * samples, inputs["input_ids"].shape[1] + 3)
    new = out[:, inputs["input_ids"].shape[1] :].tolist()
    for row in (0, 1):
        counts = Counter(tuple(tokens) for tokens in new[row * samples : (row + 1) * samples])
        law = alone(inputs, row, 3)
        assert p_value(counts, law, samples) > FALSE_ALARM
        assert p_value(counts, alone(inputs, 1 - row, 3), samples) < FALSE_ALARM
        wrong = sharpened(law)
        assert p_value(counts, wrong, samples) < FALSE_ALARM


def sharpened(law: Law) -> Law:
    """The law at a lower temperature: a sampler with another temperature must be noticed."""
    powered = {tokens: p**1.8 for tokens, p in law.items()}
    return {tokens: p / sum(powered.values()) for tokens, p in powered.items()}


def p_value(counts: Counter[tuple[int, ...]], law: Law, samples: int) -> float:
    """Pearson's test with one cell for all that is expected less than eight times."""
    cells = [(tokens, p * samples) for tokens, p in law.items() if p * samples >= 8]
    seen, wanted = [counts[tokens] for tokens, _ in cells], [n for _, n in cells]
    rest = samples - sum(wanted)
    if rest < 1e-6:
        if samples > sum(seen):
            return 0.0
        return float(stats.chisquare(seen, [n * samples / sum(wanted) for n in wanted]).pvalue)
    return float(stats.chisquare([*seen, samples - sum(seen)], [*wanted, rest]).pvalue)


def sample(**options: Any) -> list[list[int]]:
    inputs = world().inputs(3)
    out = world().target.generate(
        **inputs, do_sample=True, max_new_tokens=12, custom_generate=custom("auto"), **options
    )
    return out.tolist()


def test_a_seed_repeats_a_sample_and_rows_differ() -> None:
    assert sample(seed=3) == sample(seed=3)
    assert len({str(sample(seed=seed)) for seed in range(4)}) > 1
    torch.manual_seed(8)
    first = sample()
    torch.manual_seed(8)
    assert sample() == first
    assert sample() != first
    rows = world().target.generate(
        **world().inputs(),
        do_sample=True,
        max_new_tokens=9,
        num_return_sequences=5,
        custom_generate=custom("auto"),
        seed=1,
    )
    assert len({tuple(row) for row in rows.tolist()}) > 1


def test_samples_come_with_their_scores_and_in_their_shapes() -> None:
    options: dict[str, Any] = {
        "do_sample": True,
        "num_return_sequences": 2,
        "max_new_tokens": 7,
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "top_k": 4,
        **ENDLESS,
    }
    inputs = world().inputs(3)
    plain = world().target.generate(**inputs, **options)
    ours = world().target.generate(**inputs, **options, custom_generate=custom("auto"))
    assert plain.sequences.shape == ours.sequences.shape
    assert [s.shape for s in plain.scores] == [s.shape for s in ours.scores]
    assert [s.shape for s in plain.logits] == [s.shape for s in ours.logits]
    new = ours.sequences[:, inputs["input_ids"].shape[1] :]
    for step, scores in enumerate(ours.scores):
        assert (scores.isfinite().sum(-1) == 4).all()
        assert scores.gather(1, new[:, step : step + 1]).isfinite().all()
