"""One-token continuations of a model's context, for look-ahead beyond what was drafted."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from anydraft.models.protocol import Model


@runtime_checkable
class Branching(Protocol):
    """A model that can look at several next tokens in one pass. Optional: see :func:`branch`."""

    def branch(self, ids: Tensor) -> Tensor:
        """Logits ``[m, vocab_size]`` after the cached context and each of ``ids`` int64 ``[m]`` alone.

        The context and its cache stay as they were.
        """


def branch(model: Model, ids: Tensor) -> Tensor:
    """Logits ``[m, vocab_size]`` after the cached context and each of ``ids`` int64 ``[m]`` alone.

    One batched pass if the model is :class:`Branching`, else one pass a token.
    """
    if isinstance(model, Branching):
        return model.branch(ids)
    length, rows = model.length, []
    for i in range(len(ids)):
        rows.append(model.advance(ids[i : i + 1])[-1])
        model.crop(length)
    return torch.stack(rows)
