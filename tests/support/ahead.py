"""Toy drafts that look ahead: one pass gives the laws of several next tokens."""

from __future__ import annotations

import torch

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
