"""A user's own criteria and tokenizer for stop strings are those that end rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import EosTokenCriteria, GenerationConfig, MaxLengthCriteria, StoppingCriteriaList

import anydraft
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


@pytest.mark.parametrize("given", ["in a config", "as an argument"])
def test_stop_strings_are_read_with_the_tokenizer_that_is_given(given: str) -> None:
    """One of tokenizers or tiktoken, which suffices for drafting, cannot read them."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    custom = anydraft.custom_generate(draft, tokenizer.backend_tokenizer, draft_tokenizer)
    string = world().text(4, 6)
    options: dict[str, Any] = {"max_new_tokens": 24, "do_sample": False, "stop_strings": string}
    if given == "in a config":
        options = {"generation_config": GenerationConfig(**options, pad_token_id=0)}
    inputs = world().inputs()
    plain = target.generate(**inputs, **options, tokenizer=tokenizer)
    ours = target.generate(**inputs, **options, tokenizer=tokenizer, custom_generate=custom)
    assert ours.tolist() == plain.tolist()
    assert custom.finish_reasons == ["stop"]
    with pytest.raises(ValueError, match="pass the model's tokenizer to the `tokenizer` argument"):
        target.generate(**inputs, **options, custom_generate=custom)


def test_a_tokenizer_that_is_given_goes_before_the_targets() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer)
    asked: list[str] = []

    class Told(type(tokenizer)):  # type: ignore[misc]
        def get_vocab(self) -> dict[str, int]:
            asked.append("vocabulary")
            return super().get_vocab()  # type: ignore[no-any-return]

    given = Told(tokenizer_object=tokenizer.backend_tokenizer)
    asked.clear()
    options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "stop_strings": "%%%"}
    target.generate(**world().inputs(), **options, tokenizer=given, custom_generate=custom)
    assert asked


def test_a_tokenizer_that_cannot_read_stop_strings_is_no_obstacle_without() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    custom = anydraft.custom_generate(draft, tokenizer.backend_tokenizer, draft_tokenizer)
    options: dict[str, Any] = {**world().inputs(), "max_new_tokens": 12, "do_sample": False}
    ours = target.generate(**options, custom_generate=custom)
    assert ours.tolist() == target.generate(**options).tolist()
