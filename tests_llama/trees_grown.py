"""Trees of tokens in llama.cpp as these tests grow them, and what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from anydraft.models.llama_cpp.trees import Trees

TREES = [[0], [0, 0, 0], [0, 1, 2, 3], [0, 1, 0, 3, 1, 5, 0, 7], [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]]


def path_to(parents: Sequence[int], place: int) -> list[int]:
    """The tokens of the tree on the way to a place, by number."""
    return [] if place == 0 else [*path_to(parents, parents[place - 1]), place - 1]


def grow(model: Any, other: Any, ids: Tensor, steps: int = 12, start: int = 40) -> float:
    """Trees one after the other, each path beside the same as a line: how far the worst is off."""
    chance = torch.Generator().manual_seed(0)
    text, far = ids[:start], 0.0
    for step in range(steps):
        parents = TREES[step % len(TREES)]
        tree = ids[torch.randint(len(ids), (len(parents),), generator=chance)]
        logits = model.branch(torch.cat((text[model.length :], tree)), parents)
        assert logits.shape == (len(parents) + 1, model.vocab_size)
        for place in range(len(parents) + 1):
            line = torch.cat((text, tree[path_to(parents, place)]))
            other.crop(len(text) - 1)
            expected = other.advance(line[other.length :], 1)[0]
            far = max(far, float((logits[place] - expected).abs().max()))
        other.crop(len(text) - 1)
        kept = path_to(parents, int(torch.randint(len(parents) + 1, (), generator=chance)))
        model.prune(len(text), kept)
        text = torch.cat((text, tree[kept]))
        assert model.length <= len(text)
        text = torch.cat((text, ids[start + step : start + step + 1 + step % 3]))
    return max(
        far, float((model.advance(text[model.length :]) - other.advance(text[other.length :])).abs().max())
    )


def spare(context: Any) -> list[int]:
    """The last positions of the sequences that are for trees only: -1 where they are empty."""
    return [context._api.llama_memory_seq_pos_max(context._memory, i) for i in context.trees.spare]


class Beside:
    """How often trees were read, and how often what held was not all of the line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trees = self.bent = 0
        prune = Trees.prune

        def counted(own: Trees, row: int, length: int, path: Sequence[int]) -> None:
            self.trees += 1
            self.bent += list(path) != list(range(len(path)))
            prune(own, row, length, path)

        monkeypatch.setattr(Trees, "prune", counted)
