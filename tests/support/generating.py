"""Calls of ``generate`` with and without a draft, and what makes their results the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

import anydraft


@dataclass
class Call:
    """Arguments of ``generate``, made anew for every call, since some of them remember."""

    inputs: dict[str, Any]
    options: dict[str, Any]
    heard: Callable[[], Any] = lambda: None
    """What a streamer among the options has been told."""

    @property
    def arguments(self) -> dict[str, Any]:
        return {"do_sample": False, **self.inputs, **self.options}


@dataclass
class World:
    """A target with a draft, a text to continue, and what the target says to it at temperature 0."""

    target: Any
    draft: Any
    target_tokenizer: Any
    draft_tokenizer: Any
    prompts: list[str]
    length: int = 24
    """Tokens of a continuation."""
    num_draft_tokens: Any = 5
    custom: Any = field(init=False)

    def __post_init__(self) -> None:
        self.custom = anydraft.custom_generate(
            self.draft, self.target_tokenizer, self.draft_tokenizer, num_draft_tokens=self.num_draft_tokens
        )
        if self.target_tokenizer.pad_token is None:
            self.target_tokenizer.pad_token = self.target_tokenizer.eos_token
        self.target_tokenizer.padding_side = "left"

    def inputs(self, rows: int = 1) -> dict[str, Any]:
        """The first prompts, left-padded, with their mask."""
        made = self.target_tokenizer(self.prompts[:rows], return_tensors="pt", padding=True)
        return {name: made[name] for name in ("input_ids", "attention_mask")}

    @cached_property
    def said(self) -> list[int]:
        """What the target says to the first prompt."""
        inputs = self.inputs()
        out = self.target.generate(**inputs, max_new_tokens=self.length, do_sample=False)
        return out[0, inputs["input_ids"].shape[1] :].tolist()

    def text(self, first: int, last: int) -> str:
        """The text of some of the tokens said."""
        return self.target_tokenizer.decode(self.said[first:last])

    def both(self, make: Callable[[World], Call]) -> tuple[Result, Result]:
        """One call without a draft, one with."""
        plain, drafted = make(self), make(self)
        if "stop" in repr(plain.options):  # plain decoding asks for the tokenizer, ours does not
            plain.options.setdefault("tokenizer", self.target_tokenizer)
        before = self.target.generate(**plain.arguments)
        after = self.target.generate(**drafted.arguments, custom_generate=self.custom)
        return Result(plain, before, plain.heard()), Result(drafted, after, drafted.heard())


@dataclass
class Result:
    """What a call returned, and what its streamer heard."""

    call: Call
    output: Any
    heard: Any

    @property
    def sequences(self) -> Tensor:
        return self.output if isinstance(self.output, Tensor) else self.output.sequences


def assert_same(world: World, make: Callable[[World], Call], close: dict[str, float]) -> None:
    """The same types, ids, streamed text, finish reasons, and the same numbers within a tolerance."""
    plain, drafted = world.both(make)
    assert type(plain.output) is type(drafted.output)
    assert plain.sequences.dtype == drafted.sequences.dtype
    assert plain.sequences.tolist() == drafted.sequences.tolist()
    assert plain.heard == drafted.heard
    lengths = [stats.tokens for stats in world.custom.stats]
    new = _new(world, plain)
    assert world.custom.finish_reasons == [
        _reason(plain, row, length, new.shape[1], _ends(world, plain))
        for row, length in zip(new.tolist(), lengths, strict=True)
    ]
    if not isinstance(plain.output, Tensor):
        _assert_same_fields(plain, drafted, lengths, close)


def _new(world: World, result: Result) -> Tensor:
    ids = result.call.inputs.get("input_ids")
    start = 1 if ids is None else ids.shape[1]
    return result.sequences[:, start:]


def _ends(world: World, result: Result) -> set[int]:
    config = result.call.options.get("generation_config", world.target.generation_config)
    ends = result.call.options.get("eos_token_id", config.eos_token_id)
    return set(ends if isinstance(ends, (list, tuple)) else [] if ends is None else [ends])


def _reason(result: Result, row: list[int], length: int, steps: int, ends: set[int]) -> str:
    """Why plain decoding ended a row, told from what it returned."""
    found = next((i for i, token in enumerate(row) if token in ends), None)
    if found is not None and found < length:
        assert length == found + 1
        return "eos"
    options = result.call.options
    if "max_time" in options and steps == 1:
        return "time"
    if length < steps:
        return "stop"
    config = options.get("generation_config")
    most = options.get("max_new_tokens") or getattr(config, "max_new_tokens", None)
    if most is None:
        most = (options.get("max_length") or config.max_length) - (result.sequences.shape[1] - steps)
    return "length" if steps == most else "stop"


def _assert_same_fields(plain: Result, drafted: Result, lengths: list[int], close: dict[str, float]) -> None:
    left, right = plain.output, drafted.output
    assert list(left.keys()) == list(right.keys())
    mask = plain.call.inputs.get("attention_mask")
    for name in ("scores", "logits"):
        steps, ours = getattr(left, name), getattr(right, name)
        assert type(steps) is type(ours)
        for step, (a, b) in enumerate(zip(steps or (), ours or (), strict=True)):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            rows = [row for row, length in enumerate(lengths) if step < length]
            torch.testing.assert_close(a[rows], b[rows], **close)
    for name in ("hidden_states", "attentions"):
        steps, ours = getattr(left, name), getattr(right, name)
        assert type(steps) is type(ours)
        for step, (layers, own) in enumerate(zip(steps or (), ours or (), strict=True)):
            for a, b in zip(layers, own, strict=True):
                assert (a.shape, a.dtype) == (b.shape, b.dtype)
                if step == 0 and mask is not None:
                    where = mask.bool()[:, -a.shape[1 if name == "hidden_states" else 2] :]
                    pick = where if name == "hidden_states" else where[:, None].expand(a.shape[:3])
                    a, b = a[pick], b[pick]
                torch.testing.assert_close(a, b, **close)
    _assert_same_cache(left.past_key_values, right.past_key_values, mask, close)


def _assert_same_cache(plain: Any, ours: Any, mask: Tensor | None, close: dict[str, float]) -> None:
    assert type(plain) is type(ours)
    if plain is None:
        return
    assert isinstance(plain, DynamicCache)
    assert int(plain.get_seq_length()) == int(ours.get_seq_length())
    for a, b in zip(plain.layers, ours.layers, strict=True):
        for name in ("conv_states", "recurrent_states"):
            torch.testing.assert_close(getattr(a, name, None), getattr(b, name, None), **close)
        if not hasattr(a, "keys"):
            continue
        for left, right in ((a.keys, b.keys), (a.values, b.values)):
            assert (left.shape, left.dtype) == (right.shape, right.dtype)
            if mask is not None and left.shape[2] >= mask.shape[1]:
                keep = torch.ones(left.shape[0], left.shape[2], dtype=torch.bool)
                keep[:, : mask.shape[1]] = mask.bool()
                left, right = left.transpose(1, 2)[keep], right.transpose(1, 2)[keep]
            torch.testing.assert_close(left, right, **close)
