"""Sequences of a model that llama.cpp runs, behind the protocol of the decoding loop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from anydraft.errors import ArgumentError
from anydraft.models.llama_cpp.context import Context

_CPU = torch.device("cpu")


class LlamaCppModel:
    """A model with the cache of one sequence, in a context of its own; see :class:`Context`.

    Ids go in and logits come out in ordinary memory, wherever llama.cpp computes.
    """

    device = _CPU

    def __init__(self, context: Context) -> None:
        """``context``: with one sequence, which is empty."""
        self.context = context
        self.vocab_size = context.vocab_size
        self.window: int | None = context.window

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return self.context.lengths[0]

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """Append tokens to the context and return logits; see :class:`~anydraft.models.base.Model`.

        Shapes: ``ids`` int64 ``[n]``, n >= keep >= 1; result float32 ``[keep, vocab_size]``.

        Raises:
            ArgumentError, ModelError: as for :meth:`Context.advance`.
        """
        return self.context.advance([0], [ids], [keep])[0]

    def settle(self, length: int) -> None:
        """Nothing to note: see :meth:`crop`."""

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` cached tokens, or more: see :meth:`Context.crop`."""
        self.context.crop(0, length)


class LlamaCppBatch:
    """A model with the caches of several sequences in one context. Sequences come and go.

    Where more are open than the context has room for, one with twice the room takes its place, and what is
    cached goes over to it. So memory is set aside for as many as there have been at once, or up to twice so.
    """

    def __init__(self, context: Context) -> None:
        """``context``: all its sequences are empty."""
        self.context = context
        self._free = list(range(len(context.lengths)))

    def __len__(self) -> int:
        """Number of sequences that are open."""
        return len(self.context.lengths) - len(self._free)

    @property
    def model(self) -> LlamaCppModel:
        """What the rows are sequences of; it is not advanced itself."""
        return LlamaCppModel(self.context)

    def add(self) -> LlamaCppRow:
        """An empty sequence.

        Raises:
            ModelError: there is no room for it, and llama.cpp can make no larger context.
        """
        return LlamaCppRow(self, self._place())

    def apart(self) -> LlamaCppRow:
        """An empty sequence whose passes no other shares. Errors as for :meth:`add`."""
        return LlamaCppRow(self, self._place(), joint=False)

    def _place(self) -> int:
        if not self._free:
            count = len(self.context.lengths)
            self.context = self.context.grown(2 * count)
            self._free = list(range(count, 2 * count))
        return self._free.pop(0)

    def advance(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
        """See :meth:`Context.advance`.

        Raises:
            ArgumentError: also for a sequence that was closed.
        """
        gone = [row for row in rows if row in self._free]
        if gone:
            raise ArgumentError(f"got tokens for row {gone[0]}, which was closed; expected an open one")
        return self.context.advance(rows, ids, keep)

    def close(self, row: int) -> None:
        """A sequence will not be advanced again; its place is free for another."""
        if row not in self._free:
            self.context.crop(row, 0)
            self._free.append(row)


class LlamaCppRow:
    """One sequence of a batch, as a model of its own."""

    device = _CPU

    def __init__(self, own: LlamaCppBatch, row: int, *, joint: bool = True) -> None:
        """Made by :class:`LlamaCppBatch`; ``joint``: whether others may share its passes."""
        self._own = own
        self.batch = own if joint else None
        self.row = row
        self._closed = False
        self.vocab_size = own.context.vocab_size
        self.window: int | None = own.context.window

    @property
    def length(self) -> int:
        """Number of tokens in the cache; 0 once it is closed."""
        return 0 if self._closed else self._own.context.lengths[self.row]

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """A pass in which the other sequences sit still; see :class:`~anydraft.models.base.Model`."""
        self._check()
        return self._own.advance([self.row], [ids], [keep])[0]

    def settle(self, length: int) -> None:
        """Nothing to note: see :meth:`crop`."""

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` cached tokens, or more: see :meth:`Context.crop`."""
        if not self._closed:
            self._own.context.crop(self.row, length)

    def passed(self, seconds: float) -> None:
        """Nothing to note: the loop keeps the times."""

    def close(self) -> None:
        """This sequence will not be advanced again."""
        if not self._closed:
            self._closed = True
            self._own.close(self.row)

    def _check(self) -> None:
        if self._closed:
            raise ArgumentError(f"got tokens for row {self.row}, which was closed; expected an open one")
