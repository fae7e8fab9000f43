"""Several sequences of one model, advanced in one pass where the model can."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from anydraft.models.base import Model


class Batch(Protocol):
    """One model with the caches of several sequences."""

    def __len__(self) -> int:
        """Number of sequences that are open."""

    def advance(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
        """Append ``ids[i]`` int64 ``[n_i]`` to row ``rows[i]``; logits ``[keep_i, vocab_size]`` of each."""


@runtime_checkable
class Joint(Protocol):
    """A model whose sequence is one of a batch."""

    @property
    def batch(self) -> Batch | None:
        """The batch it belongs to; ``None`` if it runs alone."""

    @property
    def row(self) -> int:
        """Its number there."""

    def passed(self, seconds: float) -> None:
        """Take note of a joint pass that took part in."""


def advance_together(models: Sequence[Model], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
    """As :meth:`Model.advance` for each; in one pass if all are sequences of one batch."""
    if len(models) == 1:
        return [models[0].advance(ids[0], keep[0])]
    joint = [model for model in models if isinstance(model, Joint) and model.batch is not None]
    batch = joint[0].batch if len(joint) == len(models) > 1 else None
    if batch is None or any(model.batch is not batch for model in joint):
        return [model.advance(own, wanted) for model, own, wanted in zip(models, ids, keep, strict=True)]
    began = time.perf_counter()
    logits = batch.advance([model.row for model in joint], ids, keep)
    seconds = time.perf_counter() - began
    for model in joint:
        model.passed(seconds)
    return logits
