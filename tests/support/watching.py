"""A look at what models are fed, and at their caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

import anydraft
from anydraft.bridge.prompts import Prompt
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import Event
from anydraft.decoding.loop import decode
from anydraft.decoding.sequence import Row
from anydraft.models.fast.runner import FastPasses
from anydraft.models.logits import processed_law
from anydraft.models.transformers import TransformersModel
from anydraft.sampling.laws import Greedy, SeededRandomness


class Fed:
    """All ids and positions that a model of transformers is given, pass by pass."""

    def __init__(self) -> None:
        self.ids: list[list[int]] = []
        self.positions: list[list[int] | None] = []

    def __call__(self, _: Any, __: Any, given: dict[str, Any]) -> None:
        positions = given.get("position_ids")
        for row in range(len(given["input_ids"])):
            self.ids.append(given["input_ids"][row].tolist())
            self.positions.append(None if positions is None else positions[row].tolist())


@contextmanager
def fed(model: Any) -> Iterator[Fed]:
    """Watch a model; it must not be in use yet."""
    seen = Fed()
    handle = model.register_forward_pre_hook(seen, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def row(
    pair: anydraft.Speculator,
    prompt: str | Prompt,
    *,
    temperature: float = 0.0,
    length: int = 24,
    seed: int = 1,
    draft: Mapping[str, Any] | None = None,
    **cuts: Any,
) -> Row:
    """One row of a decode, to be looked at between its rounds; ``draft``: cuts of the draft's own."""
    law = processed_law(temperature=temperature, **cuts)
    own = processed_law(**{"temperature": temperature, **cuts, **(draft or {})})
    return pair.engine.row(
        pair.engine.prompt(prompt) if isinstance(prompt, str) else prompt,
        PairCaches(*pair.engine.sequences()),
        law=law,
        draft_law=own.without_prefix,
        randomness=SeededRandomness(seed) if temperature else Greedy(),
        max_new_tokens=length,
    )


def rows(pair: anydraft.Speculator, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """The rows that a pair makes from now on, for a test that begins a decode by ``stream``."""
    made: list[Row] = []
    make = pair.engine.row

    def kept(*given: Any, **named: Any) -> Row:
        made.append(make(*given, **named))
        return made[-1]

    monkeypatch.setattr(pair.engine, "row", kept)
    return made


def rounds(row: Row) -> Iterator[Event]:
    """Run a row to its end, round by round."""
    for _, event in decode([row]):
        yield event


def keys_and_values(model: Any, length: int) -> list[Tensor]:
    """The first ``length`` cached tokens of all layers."""
    return [states[:, :, :length] for layer in model.cache.layers for states in (layer.keys, layer.values)]


def prefilled(model: Any, ids: list[int]) -> list[Tensor]:
    """The cache of a model that has read ``ids`` in one pass."""
    alone = TransformersModel(model, FastPasses())
    alone.advance(torch.tensor(ids))
    return keys_and_values(alone, len(ids))
