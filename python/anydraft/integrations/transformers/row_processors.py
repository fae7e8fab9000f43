"""Logits processors that know the rows of a batch, for one row by itself."""

from __future__ import annotations

import copy

from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    LogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

_PER_ROW = {
    RepetitionPenaltyLogitsProcessor: "prompt_ignore_length",
    EncoderRepetitionPenaltyLogitsProcessor: "encoder_input_ids",
    EncoderNoRepeatNGramLogitsProcessor: "generated_ngrams",
}
"""Attributes with an entry for every prompt."""


def for_row(processor: LogitsProcessor, row: int, rows: int) -> LogitsProcessor:
    """``processor``, a pure one, as a batch of ``row`` alone would have it; the one given is not changed."""
    if rows == 1:
        return processor
    kind = type(processor)
    if kind in _PER_ROW:
        return _with_entry(processor, _PER_ROW[kind], row, rows)
    return processor


def _with_entry(processor: LogitsProcessor, name: str, row: int, rows: int) -> LogitsProcessor:
    entries = getattr(processor, name)
    if entries is None or isinstance(entries, int):
        return processor
    alone = copy.copy(processor)
    at = row * len(entries) // rows  # one entry may serve several rows (num_return_sequences)
    setattr(alone, name, entries[at : at + 1])
    if hasattr(alone, "batch_size"):
        alone.batch_size = 1
    return alone
