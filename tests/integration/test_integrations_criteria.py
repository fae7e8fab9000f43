"""A user's own criteria that derive from those of transformers end rows by what they do themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import EosTokenCriteria, MaxLengthCriteria, StoppingCriteriaList

import trained
from generating import Call, World, assert_same


@cache
def world() -> World:
    return World(*trained.pair(), ["The quick brown", "12345 67", "def fib(n):\n    if n"])


class OneLater(EosTokenCriteria):
    """Ends a row with the token after an end token."""

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.isin(input_ids[:, -2], self.eos_token_id)


class FourLater(MaxLengthCriteria):
    """Ends all rows four tokens beyond its length."""

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        done = input_ids.shape[1] >= self.max_length + 4
        return torch.full((len(input_ids),), done, dtype=torch.bool)


MADE: dict[str, Callable[[int], Any]] = {
    "end tokens": lambda _: OneLater(world().said[3]),
    "length": lambda length: FourLater(length + 5),
}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", MADE)
def test_a_subclass_ends_rows_by_what_it_does(name: str, rows: int) -> None:
    def call(world: World) -> Call:
        inputs = world.inputs(rows)
        criterion = MADE[name](inputs["input_ids"].shape[1])
        criteria = StoppingCriteriaList([criterion])
        return Call(inputs, {"max_new_tokens": world.length, "stopping_criteria": criteria})

    assert_same(world(), call, {})
    assert "stop" in world().custom.finish_reasons
