"""One sequence of a batch, as a model of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from anydraft.models.prefill import RowPrefill

if TYPE_CHECKING:
    from anydraft.models.batch import TransformersBatch


class TransformersRow:
    """One sequence of a batch, as a model of its own."""

    def __init__(self, batch: TransformersBatch, row: int) -> None:
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

    def crop(self, length: int) -> None:
        """See :class:`Model`."""
        self.batch.crop(self.row, length)

    def passed(self, seconds: float) -> None:
        """Nothing to note: the loop keeps the times."""

    def close(self) -> None:
        """This sequence will not be advanced again."""
        self.batch.close(self.row)
