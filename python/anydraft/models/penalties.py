"""Logits processors of OpenAI's interface that transformers does not have."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import LogitsProcessor


class LogitBias(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Adds a number to the logits of some tokens."""

    def __init__(self, bias: Mapping[int, float]) -> None:
        """``bias``: by id."""
        self._ids = torch.tensor(list(bias), dtype=torch.int64)
        self._added = torch.tensor(list(bias.values()), dtype=torch.float32)

    def __call__(self, input_ids: Tensor | None, scores: Tensor) -> Tensor:
        """Scores ``[..., V]`` with the numbers added; ids are not looked at."""
        device = scores.device
        added = self._added.to(device, scores.dtype).expand(*scores.shape[:-1], -1)
        return scores.index_add(-1, self._ids.to(device), added)


class CountPenalty(LogitsProcessor):  # type: ignore[misc, unused-ignore]
    """Takes ``presence + frequency * count`` off the logit of every token that was said, the prompt left out.

    ``count``: how often it was said.
    """

    def __init__(self, prompt_length: int, presence: float, frequency: float) -> None:
        """``prompt_length``: the number of ids that were not said."""
        self._start = prompt_length
        self._presence, self._frequency = presence, frequency

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Ids ``[B, n]`` and scores ``[B, V]`` to scores ``[B, V]``."""
        said = input_ids[:, self._start :]
        counts = torch.zeros_like(scores).scatter_add_(1, said, torch.ones_like(said, dtype=scores.dtype))
        return scores - self._presence * (counts > 0) - self._frequency * counts
