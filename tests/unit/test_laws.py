from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from anydraft.sampling.laws import (
    Greedy,
    SeededRandomness,
    to_law,
)
from cuts import keep_min_p, keep_top_k, keep_top_p

FALSE_ALARM = 1e-6


WAYS = ["_inverted", "_raced"]
"""How a CPU draws, and how accelerators do."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [1, 3, 511, 512, 513, 3000])
def test_draws_follow_the_law(width: int, way: str) -> None:
    generator = torch.Generator().manual_seed(width)
    law = torch.softmax(torch.randn(width, generator=generator) * 2, -1)
    law[width // 2 : width // 2 + width // 3] = 0
    law /= law.sum()
    draw = getattr(SeededRandomness(1), way)
    draws = torch.cat([draw(law.expand(2_000, -1)) for _ in range(10)])
    counts = torch.bincount(draws, minlength=width).double()
    assert counts[law == 0].sum() == 0
    common = law * len(draws) >= 5
    observed = [*counts[common].tolist(), counts[~common].sum().item()]
    expected = [
        *(law[common].double() * len(draws)).tolist(),
        law[~common].double().sum().item() * len(draws),
    ]
    if expected[-1] == 0:
        observed, expected = observed[:-1], expected[:-1]
    scale = sum(observed) / sum(expected)
    if len(observed) > 1:
        assert stats.chisquare(observed, [e * scale for e in expected]).pvalue > FALSE_ALARM


@pytest.mark.parametrize("way", WAYS)
def test_entries_far_below_float32_resolution_are_not_starved(way: str) -> None:
    law = torch.full((200_001,), 2.5e-9)
    law[0] = 1 - 200_000 * 2.5e-9
    law = law.double()
    draw = getattr(SeededRandomness(3), way)
    times = 20 if way == "_inverted" else 4  # a CPU races slowly
    draws = torch.cat([draw(law.expand(200, -1).float()) for _ in range(times)])
    rare = int((draws > 0).sum())
    assert stats.binomtest(rare, len(draws), 5e-4).pvalue > FALSE_ALARM
    even = torch.full((50, 2**18), 2.0**-18)
    draws = torch.cat([draw(even) for _ in range(times // 2)])
    assert stats.kstest(draws / 2**18, "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("way", WAYS)
def test_draw_keeps_leading_shape_and_float64(way: str) -> None:
    law = torch.eye(5, dtype=torch.float64).view(1, 5, 5).expand(2, 5, 5)
    draw = getattr(SeededRandomness(0), way)
    draws = draw(law)
    assert draws.dtype == torch.int64
    assert torch.equal(draws, torch.arange(5).expand(2, 5))
    assert draw(law[0, 2]).shape == ()
    assert draw(torch.full((7,), torch.nan)).item() == 0


def test_coins() -> None:
    probabilities = torch.tensor([0.0, 1.0, 0.3]).repeat(3000)
    coins = SeededRandomness(0).coins(probabilities).view(3000, 3)
    assert not coins[:, 0].any()
    assert coins[:, 1].all()
    assert stats.binomtest(int(coins[:, 2].sum()), 3000, 0.3).pvalue > FALSE_ALARM


def test_a_seed_reproduces_and_none_follows_torch() -> None:
    law = torch.full((400,), 1 / 400)

    def sample(randomness: SeededRandomness) -> Tensor:
        return torch.stack([randomness.draw(law) for _ in range(20)])

    assert torch.equal(sample(SeededRandomness(7)), sample(SeededRandomness(7)))
    assert not torch.equal(sample(SeededRandomness(7)), sample(SeededRandomness(8)))
    torch.manual_seed(3)
    first = SeededRandomness()
    torch.manual_seed(3)
    assert first.seed == SeededRandomness().seed
    assert first.seed != SeededRandomness().seed


def test_devices_never_share_a_stream() -> None:
    randomness = SeededRandomness(0)
    randomness.draw(torch.ones(1))
    meta = torch.device("cpu:0")
    assert not torch.equal(
        randomness._uniform((8,), meta), SeededRandomness(0)._uniform((8,), torch.device("cpu"))
    )


def test_greedy_is_exact_match() -> None:
    law = to_law(torch.tensor([[0.0, 3.0, 3.0], [5.0, 1.0, 2.0]]), temperature=0)
    assert torch.equal(law, torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    assert torch.equal(Greedy().draw(law), torch.tensor([1, 0]))
    assert Greedy().coins(torch.tensor([0.0, 1.0])).tolist() == [False, True]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0, 0.5, 1])
def test_to_law_is_float32_or_better(dtype: torch.dtype, temperature: float) -> None:
    law = to_law(torch.randn(3, 1000).to(dtype), temperature)
    assert law.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.allclose(law.sum(-1), torch.ones(3, dtype=law.dtype), atol=1e-5)


@pytest.mark.parametrize("temperature", [0, 1])
def test_nan_logits_make_a_nan_law(temperature: float) -> None:
    law = to_law(torch.tensor([[0.0, torch.nan], [0.0, 1.0]]), temperature)
    assert law[0].isnan().all()
    assert not law[1].isnan().any()


def test_infinite_logits_are_bans() -> None:
    assert to_law(torch.tensor([0.0, -torch.inf])).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.999])
def test_top_p_keeps_what_a_sort_keeps(p: float) -> None:
    law = torch.softmax(torch.randn(4, 700, generator=torch.Generator().manual_seed(0)) * 3, -1)
    ordered = law.sort(-1, descending=True)
    needed = (ordered.values.cumsum(-1) - ordered.values < p).sum(-1)
    kept = keep_top_p(law, p)
    assert torch.equal((kept > 0).sum(-1), needed)
    assert torch.allclose(kept.sum(-1), torch.ones(4))


def test_top_k_and_min_p() -> None:
    law = torch.tensor([[0.4, 0.1, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25]])
    assert torch.allclose(keep_top_k(law, 2)[0], torch.tensor([4 / 7, 0, 3 / 7, 0]))
    assert torch.equal(keep_top_k(law, 9), law)
    assert keep_top_p(law, 1.0) is law
    assert torch.equal(keep_top_k(law, 2)[1], law[1])  # ties stay together
    assert torch.allclose(keep_min_p(law, 0.6)[0], torch.tensor([4 / 7, 0, 3 / 7, 0]))
