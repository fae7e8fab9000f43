"""Edges of the verdict; its law is tested by enumeration in test_lossless_*."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from anydraft.sampling.laws import NAN, Greedy, Randomness, SeededRandomness, best_of, to_law
from anydraft.sampling.rejection import (
    NO_TOKEN,
    dense_chain,
    residual_law,
    verify,
    verify_greedy,
    verify_tokens,
)
from enumeration import branches


def verify_block(
    laws: Tensor, proposals: Tensor | None, candidates: Tensor, randomness: Randomness
) -> Tensor:
    return verify(dense_chain(laws, proposals, candidates), "block", randomness)


RULES = pytest.mark.parametrize("verdict", [verify_tokens, verify_block])


def law(*weights: float) -> Tensor:
    row = torch.tensor(weights, dtype=torch.float64)
    return row / row.sum()


def outcome(
    verdict, laws: Tensor, proposals: Tensor | None, candidates: list[int]
) -> dict[tuple[int, int], float]:
    found: dict[tuple[int, int], float] = {}

    def run(oracle: Randomness) -> Tensor:
        return verdict(laws, proposals, torch.tensor(candidates, dtype=torch.int64), oracle)

    for oracle, answer in branches(run):
        key = tuple(answer.tolist())
        found[key] = found.get(key, 0) + oracle.probability
    return found


@RULES
def test_no_candidates_draw_from_the_target(verdict) -> None:
    assert outcome(verdict, law(1, 3).view(1, 2), None, []) == {(0, 0): 0.25, (0, 1): 0.75}
    assert outcome(verdict, law(1, 3).view(1, 2), torch.zeros(0, 2).double(), []) == {
        (0, 0): 0.25,
        (0, 1): 0.75,
    }


@RULES
def test_an_impossible_candidate_is_rejected(verdict) -> None:
    laws = torch.stack((law(0, 1, 1), law(1, 0, 0)))
    assert outcome(verdict, laws, law(1, 0, 0).view(1, 3), [0]) == {(0, 1): 0.5, (0, 2): 0.5}
    assert outcome(verdict, laws, None, [0]) == {(0, 1): 0.5, (0, 2): 0.5}


@RULES
def test_a_missing_proposal_is_a_rejection_that_draws_from_the_residual(verdict) -> None:
    laws = torch.stack((law(1, 1, 2), law(1, 0, 0)))
    proposal = torch.tensor([[0.25, 0.1, 0.0]]).double()  # mass 0.65 without image
    found = outcome(verdict, laws, proposal, [NO_TOKEN])
    assert found == pytest.approx({(0, 1): 0.15 / 0.65, (0, 2): 0.5 / 0.65})


@RULES
def test_missing_everywhere_is_the_targets_law(verdict) -> None:
    laws = torch.stack((law(1, 3), law(1, 0)))
    assert outcome(verdict, laws, torch.zeros(1, 2).double(), [NO_TOKEN]) == {(0, 0): 0.25, (0, 1): 0.75}


@RULES
def test_equal_laws_always_accept(verdict) -> None:
    laws = torch.stack((law(1, 3), law(1, 1), law(0, 1)))
    assert outcome(verdict, laws, laws[:2], [1, 0]) == {(2, 1): 1.0}


@RULES
def test_a_residual_of_rounding_errors_falls_back_to_the_target(verdict) -> None:
    class Stubborn(Greedy):
        def coins(self, probabilities: Tensor) -> Tensor:
            return torch.zeros_like(probabilities, dtype=torch.bool)

    laws = torch.stack((law(1, 3), law(1, 1)))
    accepted, following = verdict(laws, laws[:1], torch.tensor([0]), Stubborn()).tolist()
    assert (accepted, following) == (0, 1)


def test_residual_law_in_float32() -> None:
    p = torch.tensor([0.5, 0.5])
    assert torch.equal(residual_law(torch.tensor([1e-7, -1e-7]), p), p)
    assert torch.equal(residual_law(torch.tensor([1e-3, -1e-3]), p), torch.tensor([1.0, 0.0]))


@RULES
def test_greedy_is_exact_match(verdict) -> None:
    width, candidates = 6, torch.tensor([4, 1, 3])
    target = torch.eye(width)[[4, 1, 2, 5]]
    for proposals in (None, torch.eye(width)[candidates], torch.softmax(torch.randn(3, width), -1)):
        assert verdict(target, proposals, candidates, Greedy()).tolist() == [2, 2]
        assert verdict(target, proposals, candidates, SeededRandomness(0)).tolist() == [2, 2]


@RULES
def test_float32_rows_of_real_width(verdict) -> None:
    generator = torch.Generator().manual_seed(0)
    laws = torch.softmax(torch.randn(4, 50_000, generator=generator) * 4, -1)
    proposals = torch.softmax(torch.randn(3, 50_000, generator=generator) * 4, -1)
    randomness = SeededRandomness(0)
    candidates = randomness.draw(proposals)
    answer = verdict(laws, proposals, candidates, randomness)
    assert answer.dtype == torch.int64
    assert 0 <= int(answer[0]) <= 3
    assert 0 <= int(answer[1]) < 50_000


def test_the_block_rule_keeps_more() -> None:
    generator = torch.Generator().manual_seed(1)
    token, block = 0.0, 0.0
    for _ in range(20):
        laws, q = (torch.softmax(2 * torch.randn(3, 3, generator=generator).double(), -1) for _ in range(2))
        for a in range(3):
            for b in range(3):
                weight = float(q[0, a] * q[1, b])
                token += weight * sum(
                    k * p for (k, _), p in outcome(verify_tokens, laws, q[:2], [a, b]).items()
                )
                block += weight * sum(
                    k * p for (k, _), p in outcome(verify_block, laws, q[:2], [a, b]).items()
                )
    assert block > token * 1.005


@RULES
def test_the_greedy_verdict_is_that_of_any_rule_at_temperature_0(verdict) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        logits = torch.randn(4, 5, generator=generator)
        laws = to_law(logits, 0.0)
        likely = torch.rand(3, generator=generator) < 0.6
        candidates = torch.where(likely, logits[:3].argmax(-1), torch.randint(5, (3,), generator=generator))
        proposals = to_law(torch.nn.functional.one_hot(candidates, 5).float(), 0.0)
        found = verify_greedy(best_of(logits), candidates)
        assert found.tolist() == verdict(laws, None, candidates, Greedy()).tolist()
        assert found.tolist() == verdict(laws, proposals, candidates, Greedy()).tolist()


def test_the_likeliest_token_of_nan_is_none() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0], [0.0, torch.nan, 9.0]])
    assert best_of(scores).tolist() == [1, NAN]
