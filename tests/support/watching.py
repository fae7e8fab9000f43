"""A look at what models are fed, and at their caches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

import anydraft
from anydraft.decoding.caches import PairCaches
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


def row(pair: anydraft.Speculator, prompt: str, *, temperature: float = 0.0, length: int = 24) -> Row:
    """One row of a decode, to be looked at between its rounds."""
    law = processed_law(temperature=temperature)
    return pair.engine.row(
        pair.engine.prompt(prompt),
        PairCaches(*pair.engine.sequences()),
        law=law,
        draft_law=law.without_prefix,
        randomness=SeededRandomness(1) if temperature else Greedy(),
        max_new_tokens=length,
    )


def rounds(row: Row) -> Iterator[None]:
    """Run a row to its end, round by round."""
    for _ in decode([row]):
        yield


def keys_and_values(model: Any, length: int) -> list[Tensor]:
    """The first ``length`` cached tokens of all layers."""
    return [states[:, :, :length] for layer in model.cache.layers for states in (layer.keys, layer.values)]


def prefilled(model: Any, ids: list[int]) -> list[Tensor]:
    """The cache of a model that has read ``ids`` in one pass."""
    alone = TransformersModel(model, FastPasses())
    alone.advance(torch.tensor(ids))
    return keys_and_values(alone, len(ids))
