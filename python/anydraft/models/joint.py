"""Several sequences of one model, advanced in one pass where the model can."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

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
    """A model whose sequence may be one of a batch."""

    @property
    def batch(self) -> Batch | None:
        """The batch it belongs to; ``None`` if it runs alone."""

    @property
    def row(self) -> int:
        """Its number there."""

    def passed(self, seconds: float) -> None:
        """Take note of a joint pass that took part in."""


def advance_together(models: Sequence[Model], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
    """As :meth:`Model.advance` for each; those that are sequences of one batch share a pass."""
    if len(models) == 1:
        return [models[0].advance(ids[0], keep[0])]
    found: dict[int, Tensor] = {}
    for members in by_batch(models):
        if len(members) == 1:
            i = members[0]
            found[i] = models[i].advance(ids[i], keep[i])
        else:
            ours = [models[i] for i in members], [ids[i] for i in members], [keep[i] for i in members]
            found.update(zip(members, _in_one_pass(*ours), strict=True))
    return [found[i] for i in range(len(models))]


def by_batch(models: Sequence[Model]) -> list[list[int]]:
    """The numbers of ``models``, those of one batch together, in order."""
    groups: dict[int, list[int]] = {}
    for i, model in enumerate(models):
        batch = model.batch if isinstance(model, Joint) else None
        groups.setdefault(-1 - i if batch is None else id(batch), []).append(i)
    return list(groups.values())


def _in_one_pass(models: Sequence[Any], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
    began = time.perf_counter()
    logits: list[Tensor] = models[0].batch.advance([model.row for model in models], ids, keep)
    seconds = time.perf_counter() - began
    for model in models:
        model.passed(seconds)
    return logits
