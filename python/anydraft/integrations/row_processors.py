"""Logits processors that know the rows of a batch, for one row by itself."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    LogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

_PER_ROW = {
    RepetitionPenaltyLogitsProcessor: "prompt_ignore_length",
    EncoderRepetitionPenaltyLogitsProcessor: "encoder_input_ids",
    EncoderNoRepeatNGramLogitsProcessor: "generated_ngrams",
}
"""Attributes with an entry for every prompt."""


def for_row(processor: Any, row: int, rows: int) -> LogitsProcessor:
    """``processor`` as a batch of ``row`` alone would have it; the one given is not changed."""
    if rows == 1:
        return processor  # type: ignore[no-any-return]
    kind = type(processor)
    if kind is PrefixConstrainedLogitsProcessor:
        allowed = processor._prefix_allowed_tokens_fn
        return PrefixConstrainedLogitsProcessor(lambda _, ids: allowed(row, ids), 1)
    if kind in _PER_ROW:
        return _with_entry(processor, _PER_ROW[kind], row, rows)
    if kind.__module__.partition(".")[0] != "transformers":
        return OneOfBatch(processor, row, rows)
    return processor  # type: ignore[no-any-return]


class OneOfBatch(LogitsProcessor):
    """A processor of the user's own: it is shown a batch of the usual size, and asked for one row."""

    def __init__(self, processor: Any, row: int, rows: int) -> None:
        """``row`` of ``rows``."""
        self._processor, self._row, self._rows = processor, row, rows

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """``[1, n]`` ids and ``[1, V]`` scores to ``[1, V]``."""
        everywhere = self._processor(input_ids.repeat(self._rows, 1), scores.repeat(self._rows, 1))
        result: Tensor = everywhere[self._row, None]
        return result


def _with_entry(processor: Any, name: str, row: int, rows: int) -> LogitsProcessor:
    entries = getattr(processor, name)
    if entries is None or isinstance(entries, int):
        return processor  # type: ignore[no-any-return]
    alone = copy.copy(processor)
    at = row * len(entries) // rows  # one entry may serve several rows (num_return_sequences)
    setattr(alone, name, entries[at : at + 1])
    if hasattr(alone, "batch_size"):
        alone.batch_size = 1
    return alone  # type: ignore[no-any-return]
