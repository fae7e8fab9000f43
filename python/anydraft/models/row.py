"""One sequence of a batch, as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from anydraft.models.joint import Batch
from anydraft.models.prefill import RowPrefill
from anydraft.models.transformers import TransformersModel
from anydraft.models.trees import prompt_first


class RowsOfOne(Batch, Protocol):
    """What a sequence needs of :class:`~anydraft.models.batch.TransformersBatch`."""

    model: TransformersModel
    token_types: dict[int, Tensor]
    prefills: dict[int, RowPrefill]

    def length(self, row: int) -> int:
        """Number of cached tokens of a sequence."""

    def prune(self, row: int, length: int, path: Sequence[int]) -> None:
        """Of a sequence's tokens behind the first ``length`` keep those in ``path``."""

    def crop(self, row: int, length: int) -> None:
        """Forget all but the first ``length`` cached tokens of a sequence."""

    def close(self, row: int) -> None:
        """A sequence will not be advanced again."""


class TransformersRow:
    """One sequence of a batch, as a model of its own."""

    def __init__(self, batch: RowsOfOne, row: int) -> None:
        """Made by :class:`TransformersBatch`."""
        self.batch = batch
        self.row = row
        model = batch.model
        self.vocab_size, self.window, self.device = model.vocab_size, model.window, model.device

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return self.batch.length(self.row)

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """A pass in which the other sequences sit still; see :class:`Model`."""
        return self.batch.advance([self.row], [ids], [keep])[0]

    @property
    def branches(self) -> bool:
        """See :class:`~anydraft.models.base.Branching`: where the model by itself does; not with pictures."""
        simple = self.prefill is None and self.token_types is None
        return simple and self.batch.model.branches

    def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
        """See :class:`~anydraft.models.base.Branching`; the other sequences sit still."""
        ids = prompt_first(self, ids, parents)
        return self.batch.advance([self.row], [ids], [1 + len(parents)], {self.row: parents})[0]

    def prune(self, length: int, path: Sequence[int]) -> None:
        """See :class:`~anydraft.models.base.Branching`."""
        self.batch.prune(self.row, length, path)

    @property
    def token_types(self) -> Tensor | None:
        """See :attr:`TransformersModel.token_types`."""
        return self.batch.token_types.get(self.row)

    @token_types.setter
    def token_types(self, types: Tensor) -> None:
        self.batch.token_types[self.row] = types

    @property
    def prefill(self) -> RowPrefill | None:
        """See :attr:`TransformersModel.prefill`."""
        return self.batch.prefills.get(self.row)

    @prefill.setter
    def prefill(self, prefill: RowPrefill) -> None:
        self.batch.prefills[self.row] = prefill

    @property
    def masks(self) -> Tensor:
        """See :class:`~anydraft.models.base.LookingAhead`."""
        return self.batch.model.masks

    def settle(self, length: int) -> None:
        """Nothing to note: any crop is possible."""

    def crop(self, length: int) -> None:
        """See :class:`Model`."""
        self.batch.crop(self.row, length)

    def passed(self, seconds: float) -> None:
        """Nothing to note: the loop keeps the times."""

    def close(self) -> None:
        """This sequence will not be advanced again."""
        self.batch.close(self.row)
