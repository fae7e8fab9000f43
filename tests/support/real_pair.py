"""The real pair of the slow tests: SmolLM2-135M-Instruct and Gemma-3-270M, from their packages."""

from __future__ import annotations

import os
from copy import deepcopy
from functools import cache
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

import anydraft
from anydraft.errors import ModelFileError
from anydraft.models.base import Model
from anydraft.proposers.registry import Method

Name = Literal["smollm2", "gemma3"]

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "The three most important ideas in physics are",
    "In 1969, Neil Armstrong",
    "Dear Ms. Baker,\n\nThank you for your letter of 12 March.",
    "def fib(n):\n    ",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n",
    "import numpy as np\n\ndef mean(values):\n",
    "for i in range(10):\n    for j in range(i):\n        if i % 2 == 0:\n            ",
    '{\n  "name": "anydraft",\n  "version": 1,\n  "tags": [\n    ',
    "if (x > 0) {\n\t\treturn x;\n\t} else {\n\t\t",
    "SELECT name, COUNT(*)\nFROM users\n     WHERE age > 30\n",
    "Le château se trouve près de la rivière, où l'été",
    "El niño comió una manzana y después",
    "Die Straße führt über die Brücke nach",
    "東京は日本の首都であり、",
    "今天天气很好，我们",
    "Party tonight! 🎉🎂 Bring your friends 👩‍👩‍👧‍👦 and",
    "3.14159, 2.71828, 1.41421, 1.61803, 0.57721,",
    "1 2 3 4 5 6 7 8 9 10 11 12 100 1000 10000",
]
"""Prose, code, whitespace-heavy code, accents, CJK, emoji and numbers: 20 prompts."""


@cache
def model(name: Name) -> Any:
    """The model in float32; the test is skipped if its package is not installed."""
    from anydraft.loading.folders import load_model, packaged

    try:
        path = packaged(name)
    except ModelFileError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    return load_model(path)


@cache
def tokenizer(name: Name) -> Any:
    """Its tokenizer."""
    from anydraft.loading.folders import load_tokenizer, packaged

    return load_tokenizer(packaged(name))


@cache
def bridge(target: Name, draft: Name) -> anydraft.Bridge:
    """The bridge of a direction, built once."""
    return anydraft.Speculator(*_parts(target, draft)).bridge


def speculator(target: Name, draft: Name, method: Method = "auto", **options: Any) -> anydraft.Speculator:
    """The real pair in one direction."""
    options.setdefault("num_draft_tokens", 5)
    return anydraft.Speculator(*_parts(target, draft), method=method, bridge=bridge(target, draft), **options)


def remembering(name: Name) -> Remembering:
    """The model with a memory of all contexts it has seen: up to a megabyte each, so one for each test."""
    from anydraft.models.transformers import TransformersModel

    return Remembering(TransformersModel(model(name)))


def _parts(target: Name, draft: Name) -> tuple[Any, ...]:
    return model(target), model(draft), tokenizer(target), tokenizer(draft)


class Remembering:
    """A model that computes the logits of a context once: thousands of short samples in a minute."""

    branches = False
    """It reads no trees."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._cached: list[int] = []
        self._known: dict[tuple[int, ...], Tensor] = {}
        self._ids: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def length(self) -> int:
        return len(self._ids)

    def crop(self, length: int) -> None:
        del self._ids[length:]

    @torch.no_grad()
    def prefetch(self, context: list[int], nexts: list[int], batch: int = 64) -> None:
        """Remember the logits after ``context`` and each of ``nexts``; the context is read once."""
        plain = self._model.plain
        read = plain(torch.tensor([context]), use_cache=True).past_key_values
        for start in range(0, len(nexts), batch):
            part = nexts[start : start + batch]
            cache = deepcopy(read)
            cache.batch_repeat_interleave(len(part))
            rows = plain(torch.tensor(part)[:, None], past_key_values=cache, use_cache=True).logits[:, 0]
            self._known.update({(*context, t): row for t, row in zip(part, rows, strict=True)})

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        self._ids += ids.tolist()
        ends = range(len(self._ids) - keep + 1, len(self._ids) + 1)
        if any(tuple(self._ids[:end]) not in self._known for end in ends):
            same = next(
                (i for i, (a, b) in enumerate(zip(self._ids, self._cached, strict=False)) if a != b), None
            )
            same = min(len(self._ids), len(self._cached)) if same is None else same
            same = min(same, len(self._ids) - keep)
            self._model.crop(same)
            rows = self._model.advance(torch.tensor(self._ids[same:]), keep)
            self._cached = list(self._ids)
            self._known.update({tuple(self._ids[:end]): row for end, row in zip(ends, rows, strict=True)})
        return torch.stack([self._known[tuple(self._ids[:end])] for end in ends])
