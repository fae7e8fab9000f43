"""Drafting and verification must not wait for the device: no operator that hands a number to Python."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import small
import watching
from anydraft.proposers.base import DraftContext
from anydraft.proposers.draw import draw_tokens
from anydraft.sampling.laws import SeededRandomness, to_law
from cuts import keep_top_k, keep_top_p
from toy_methods import classes, pushforward, token_level
from toys import PAIRS, ToyModel

WAITING = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "unique", "masked_select")


class NoWaiting(TorchDispatchMode):
    """Raises where a CUDA device would have to be waited for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in WAITING:
            raise RuntimeError(f"waited for the device in {func}")
        return func(*args, **(kwargs or {}))


class Fixed:
    """Logits that do not depend on the ids, so that no id is read."""

    window, device, length, vocab_size = None, torch.device("cpu"), 0, 6

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        return torch.linspace(-1, 1, self.vocab_size).expand(keep, -1)

    def crop(self, length: int) -> None:
        pass


def context(model: Any, pair: Any) -> DraftContext:
    law = lambda logits: keep_top_p(keep_top_k(to_law(logits), 5), 0.95)  # noqa: E731
    return DraftContext(model, torch.tensor([0]), law, pair, torch.device("cpu"), len(pair.target))


@pytest.mark.parametrize("rule", ["token", "block"])
@pytest.mark.parametrize("make", [token_level, pushforward, classes])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_verification_waits_for_nothing(make: Any, rule: Any, pair: Any) -> None:
    strategy, randomness = make(pair, len(pair.target), rule), SeededRandomness(0)
    for seed in range(4):
        block = strategy.draft(context(ToyModel(6, seed), pair), 3, randomness)
        laws = torch.softmax(torch.randn(len(block.candidates) + 1, len(pair.target)), -1).double()
        with NoWaiting():
            verdict = strategy.verify(block, laws, randomness)
        assert verdict.shape == (2,)


def test_token_level_drafting_waits_for_nothing() -> None:
    strategy = token_level(PAIRS[0], 4, "token")
    given, randomness = context(Fixed(), PAIRS[0]), SeededRandomness(0)
    with NoWaiting():
        block = strategy.draft(given, 3, randomness)
    assert len(block.candidates) == 3


def test_the_guard_can_fail() -> None:
    with pytest.raises(RuntimeError, match="waited"), NoWaiting():
        torch.zeros(3)[torch.tensor(1)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: a CPU never waits for itself")
@pytest.mark.parametrize("method", ["tli", "pushforward", "slrs"])
def test_cuda_is_not_waited_for_inside_a_block(method: str) -> None:
    target, draft, *tokenizers = small.pair()
    pair = small.join((target.cuda(), draft.cuda(), *tokenizers), method=method, num_draft_tokens=4)
    pair.generate("The quick", max_new_tokens=8, temperature=1.0)
    row = watching.row(pair, "The quick brown", length=40, temperature=1.0)
    _, opened = row.open(row.choose())
    assert opened is not None
    strategy, given, gamma, randomness = opened
    allowed = strategy.allowed  # type: ignore[attr-defined]
    draw_tokens(given, gamma, randomness, allowed)  # reads the prompt, which checks its ids
    given.model.crop(given.model.length - gamma + 1)
    pending = torch.ones(1, dtype=torch.int64, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        drawn = draw_tokens(replace(given, pending=pending), gamma, randomness, allowed)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(drawn.ids) == gamma
