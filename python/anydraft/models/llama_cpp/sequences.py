"""Sequences of a model that llama.cpp runs, behind the protocol of the decoding loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from anydraft.errors import ArgumentError
from anydraft.models.joint import NO_TREES
from anydraft.models.llama_cpp.context import Context

_CPU = torch.device("cpu")


class LlamaCppModel:
    """A model with the cache of one sequence, in a context of its own; see :class:`Context`.

    Ids go in and logits come out in ordinary memory, wherever llama.cpp computes. The context, which takes
    the memory of its cache, is asked for when the first token is read.
    """

    device = _CPU

    def __init__(
        self,
        vocab_size: int,
        window: int,
        take: Callable[[LlamaCppModel], Context],
        reads_trees: Callable[[], bool] = lambda: False,
    ) -> None:
        """``take``: gives this model an empty context with one sequence; ``reads_trees``: tries that."""
        self.vocab_size = vocab_size
        self.window: int | None = window
        self._take = take
        self._reads_trees = reads_trees
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        """Where its cache is."""
        if self._context is None:
            self._context = self._take(self)
        return self._context

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return 0 if self._context is None else self._context.lengths[0]

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
        if self._context is not None:
            self._context.crop(0, length)

    @property
    def branches(self) -> bool:
        """See :class:`~anydraft.models.base.Branching`."""
        return self._reads_trees()

    def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
        """See :class:`~anydraft.models.base.Branching`; errors as for :meth:`Context.advance`."""
        return self.context.trees.read(0, ids, parents)

    def prune(self, length: int, path: Sequence[int]) -> None:
        """See :class:`~anydraft.models.base.Branching`."""
        self.context.trees.prune(0, length, path)


class LlamaCppBatch:
    """A model with the caches of several sequences in one context. Sequences come and go.

    Where more are open than the context has room for, one with twice the room takes its place, and what is
    cached goes over to it. So memory is set aside for as many as there have been at once, or up to twice so.
    """

    def __init__(self, context: Context, reads_trees: Callable[[], bool] = lambda: False) -> None:
        """``context``: all its sequences are empty; ``reads_trees``: tries that."""
        self.reads_trees = reads_trees
        self.held = [context]
        """The context, which is another one after it has grown."""
        self._free = list(range(len(context.lengths)))

    @property
    def context(self) -> Context:
        """Where all sequences are."""
        return self.held[0]

    def __len__(self) -> int:
        """Number of sequences that are open."""
        return len(self.context.lengths) - len(self._free)

    @property
    def model(self) -> LlamaCppModel:
        """What the rows are sequences of; it is not advanced itself."""
        return LlamaCppModel(self.context.vocab_size, self.context.window, lambda _: self.context)

    def add(self) -> LlamaCppRow:
        """An empty sequence.

        Raises:
            ModelError: there is no room for it, and llama.cpp can make no larger context.
        """
        if not self._free:
            count = len(self.context.lengths)
            self.held[0] = self.context.grown(2 * count)
            self._free = list(range(count, len(self.context.lengths)))
        return LlamaCppRow(self, self._free.pop(0))

    def advance(
        self,
        rows: Sequence[int],
        ids: Sequence[Tensor],
        keep: Sequence[int],
        trees: Mapping[int, Sequence[int]] = NO_TREES,
    ) -> list[Tensor]:
        """See :meth:`Context.advance` and :class:`~anydraft.models.joint.Batch`; a tree has its own pass.

        Raises:
            ArgumentError: also for a sequence that was closed.
        """
        gone = [row for row in rows if row in self._free]
        if gone:
            raise ArgumentError(f"got tokens for row {gone[0]}, which was closed; expected an open one")
        lines = [i for i, row in enumerate(rows) if row not in trees]
        given = [rows[i] for i in lines], [ids[i] for i in lines], [keep[i] for i in lines]
        try:
            found = dict(zip(lines, self.context.advance(*given), strict=True)) if lines else {}
            for i, row in enumerate(rows):
                if row in trees:
                    found[i] = self.context.trees.read(row, ids[i], trees[row])
        except BaseException:  # nobody prunes what was read before
            self.context.trees.drop(rows)
            raise
        return [found[i] for i in range(len(rows))]

    def close(self, row: int) -> None:
        """A sequence will not be advanced again; its place is free for another."""
        if row not in self._free:
            self.context.crop(row, 0)
            self._free.append(row)


class LlamaCppRow:
    """One sequence of a batch, as a model of its own."""

    device = _CPU

    def __init__(self, batch: LlamaCppBatch, row: int) -> None:
        """Made by :class:`LlamaCppBatch`."""
        self.batch = batch
        self.row = row
        self._closed = False
        self.vocab_size = batch.context.vocab_size
        self.window: int | None = batch.context.window

    @property
    def length(self) -> int:
        """Number of tokens in the cache; 0 once it is closed."""
        return 0 if self._closed else self.batch.context.lengths[self.row]

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """A pass in which the other sequences sit still; see :class:`~anydraft.models.base.Model`."""
        self._check()
        return self.batch.advance([self.row], [ids], [keep])[0]

    @property
    def branches(self) -> bool:
        """See :class:`~anydraft.models.base.Branching`; not where the cache is for several sequences.

        There what a tree leaves free is filled by others, and sums over the cache have other orders.
        """
        context = self.batch.context
        return len(context.lengths) == 1 and bool(context.trees.spare) and self.batch.reads_trees()

    def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
        """See :class:`~anydraft.models.base.Branching`; the other sequences sit still."""
        self._check()
        return self.batch.advance([self.row], [ids], [1 + len(parents)], {self.row: parents})[0]

    def prune(self, length: int, path: Sequence[int]) -> None:
        """See :class:`~anydraft.models.base.Branching`."""
        self.batch.context.trees.prune(self.row, length, path)

    def settle(self, length: int) -> None:
        """Nothing to note: see :meth:`crop`."""

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` cached tokens, or more: see :meth:`Context.crop`."""
        if not self._closed:
            self.batch.context.crop(self.row, length)

    def passed(self, seconds: float) -> None:
        """Nothing to note: the loop keeps the times."""

    def close(self) -> None:
        """This sequence will not be advanced again."""
        if not self._closed:
            self._closed = True
            self.batch.close(self.row)

    def _check(self) -> None:
        if self._closed:
            raise ArgumentError(f"got tokens for row {self.row}, which was closed; expected an open one")
