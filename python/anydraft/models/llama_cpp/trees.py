"""Passes of llama.cpp over trees of tokens: every path is a sequence, which begins with the text's tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from anydraft.models.llama_cpp.objects import closed
from anydraft.models.llama_cpp.shares import Share, path_to, shares

_MANY = 32
"""Tokens of a text up to which they are read together with the tree behind them: more than a path that was
kept leaves to be fed again."""


class Caches(Protocol):
    """What is needed of a :class:`~anydraft.models.llama_cpp.context.Context`."""

    llama: Any
    lengths: list[int]
    vocab_size: int
    window: int

    @property
    def room(self) -> int:
        """Tokens that a pass may have."""

    def open(self) -> None:
        """Raise if the Llama was closed."""

    def check(self, ids: Tensor, keep: int) -> None:
        """Raise for what cannot be read."""

    def check_room(self, row: int, n: int) -> None:
        """Raise if so many tokens more are too many for a sequence."""

    def advance(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
        """Append tokens to sequences."""

    def passes(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> Tensor:
        """The same without noting it."""

    def decode_shared(self, ids: Any, positions: Any, rows: Sequence[Sequence[int]], kept: Any) -> Tensor:
        """One pass over tokens each of which is in several sequences."""

    def join(self, source: int, target: int) -> None:
        """Put the tokens of a sequence into an empty one too."""

    def remove(self, row: int, start: int = -1) -> bool:
        """Take the tokens from a position on out of a sequence."""

    def set_length(self, row: int, length: int) -> None:
        """Note that a sequence has so many tokens."""

    def undivided(self, rows: Sequence[int]) -> AbstractContextManager[None]:
        """An error inside leaves empty caches."""


class _Grown(NamedTuple):
    """What the cache has of a tree."""

    share: Share
    sequences: list[int]
    """Those of its paths; the first is the row's own."""


class Trees:
    """The trees that a context has read, until they are pruned or dropped.

    A token carries the names of all paths through it, and sees what its first path has before it: that is
    the text and the tokens that lead to it. A tree with more paths than there are sequences, or more tokens
    than a pass may have, is read in parts.
    """

    def __init__(self, caches: Caches, spare: range) -> None:
        """``caches``: not kept alive by this; ``spare``: sequences that are empty while no tree is read."""
        self._caches = caches
        self.spare = spare
        self._grown: dict[int, _Grown] = {}

    def read(self, row: int, ids: Tensor, parents: Sequence[int]) -> Tensor:
        """See :class:`~anydraft.models.base.Branching`; errors as for :meth:`Context.advance`."""
        caches, k = self._caches, len(parents)
        caches.open()
        caches.check(ids, k + 1)
        caches.check_room(row, len(ids) - k + max(len(path_to(parents, i)) for i in range(k)))
        self.drop([row])
        before = len(ids) - k
        if before > _MANY or (before > 1 and len(ids) > caches.room):  # a prompt is read as prompts are
            caches.advance([row], [ids[: -k - 1]], [1])
            ids = ids[-k - 1 :]
        text, tree = ids[:-k], ids[-k:]
        free = min(caches.room, caches.window - caches.lengths[row])
        found = torch.empty((k + 1, caches.vocab_size))
        with caches.undivided([row]):
            for share in shares(parents, 1 + len(self._unused(row)), free - len(text)):
                logits = self._read(row, text, tree, share)
                places = [0] * min(len(text), 1) + [i + 1 for i in share.tokens]
                found[places] = logits
                caches.lengths[row] += len(text)
                text = text[:0]
        return found

    def _read(self, row: int, text: Tensor, tree: Tensor, share: Share) -> Tensor:
        """Logits after the text, if there is any, and after each token of a share; both stay in the cache."""
        caches = self._caches
        self.drop([row])
        start, before = caches.lengths[row], len(text)
        used = [row, *self._unused(row)[: share.number - 1]]
        self._grown[row] = _Grown(share, used)
        ids = torch.cat((text, tree[share.tokens]))
        keep = len(share.tokens) + min(before, 1)
        if share.number == 1:  # in as many passes as it needs
            return caches.passes([row], [ids], [keep])
        for other in used[1:]:
            caches.join(row, other)
        depths = [*range(before), *(before + depth for depth in share.depths)]
        rows = [used] * before + [[used[path] for path in paths] for paths in share.paths]
        kept = np.arange(len(ids)) >= len(ids) - keep
        return caches.decode_shared(ids.numpy(), start + np.array(depths), rows, kept)

    def _unused(self, row: int) -> list[int]:
        """The spare sequences that the trees of other rows leave."""
        used = {name for other, grown in self._grown.items() if other != row for name in grown.sequences}
        return [name for name in self.spare if name not in used]

    def prune(self, row: int, length: int, path: Sequence[int]) -> None:
        """See :class:`~anydraft.models.base.Branching`. What stands beside the line is not kept.

        It would stay behind a gap, which the next tokens fill, and llama.cpp sums over its cache in the order
        of places: the logits would differ from those of the same text by rounding, which quantised weights
        enlarge. So it is to be fed again, with the next tokens.
        """
        caches = self._caches
        caches.open()
        with caches.undivided([row]):
            share, used = self._grown[row]
            count, on = share.kept(path)
            winner = used[on]
            for other in set(used) - {winner}:
                caches.remove(other)
            caches.remove(winner, length + count)
            if winner != row:
                caches.join(winner, row)
                caches.remove(winner)
            del self._grown[row]
            caches.set_length(row, length + count)

    def drop(self, rows: Iterable[int]) -> None:
        """Take the trees of rows that were not pruned out of the cache."""
        caches = self._caches
        for row in rows:
            if row in self._grown and not closed(caches.llama):
                for other in self._grown[row].sequences[1:]:
                    caches.remove(other)
                caches.remove(row, caches.lengths[row])
            self._grown.pop(row, None)  # at last, so that after an interrupt it is done again

    def forget(self) -> None:
        """The cache was emptied."""
        self._grown.clear()
