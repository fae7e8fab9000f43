"""Toy drafts that look ahead: one pass gives the laws of several next tokens."""

from __future__ import annotations

import copy
from typing import Any

import torch

from loop_world import gpt2, tokenizer
from placed import DEVICE
from toys import ToyModel

PLACES = 2
"""Tokens that a toy draft sees from one pass: with more, two passes have too many outcomes to walk."""


class ToyAhead(ToyModel):
    """A toy model whose last id is a mask: it has a law of its own behind that."""

    def __init__(self, vocab_size: int, seed: int) -> None:
        """``vocab_size``: without the masks."""
        super().__init__(vocab_size + PLACES - 1, seed)
        self.masks = torch.arange(vocab_size, vocab_size + PLACES - 1, device=DEVICE)
        self.passes: list[int] = []
        """Tokens of every pass."""

    def advance(self, ids: torch.Tensor, keep: int = 1) -> torch.Tensor:
        self.passes.append(len(ids))
        return super().advance(ids, keep)


def gpt2_ahead(merged: tuple[str, ...], seed: int) -> Any:
    """The same as a model of transformers, for the tokenizer of :func:`loop_world.tokenizer`."""
    width = tokenizer(*merged).get_vocab_size()
    made = copy.deepcopy(gpt2(width + PLACES - 1, seed))
    made.generation_config.eos_token_id = made.config.eos_token_id = width - 1
    made.config.anydraft_masks = list(range(width, width + PLACES - 1))
    return made
