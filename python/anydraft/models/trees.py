"""A tree of tokens behind a text, as one pass reads it: who sees whom, and where everything stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from anydraft.models.base import Branching, Model
from anydraft.models.faithful import near, text

_MANY = 8
"""Tokens of a text up to which they are read together with the tree behind them."""

_TRIED = 12
"""Tokens that a model is tried on."""


class TreeLayout:
    """The new tokens of a pass: some of the text, then a tree; see :class:`~anydraft.models.base.Branching`.

    Their keys lie one behind the other in the cache, but a token's position is its depth in the text.
    """

    def __init__(self, parents: Sequence[int], start: int, n: int, device: torch.device) -> None:
        """``n`` new tokens behind ``start`` others; the last ``len(parents)`` of them are the tree."""
        unread = n - len(parents)
        steps = list(range(unread))
        seen = torch.ones((n, n), dtype=torch.bool).tril_()
        for row, parent in enumerate(parents, unread):
            before = unread - 1 + parent
            steps.append(steps[before] + 1)
            seen[row] = seen[before]
            seen[row, row] = True
        self._start = start
        self._seen = seen.to(device, non_blocking=True)
        """bool ``[n, n]``: which of the new tokens each of them sees."""
        self.positions = torch.tensor(steps, dtype=torch.int64).to(device, non_blocking=True) + start
        """int64 ``[n]``."""

    def mask(self, window: int | None, *, chunked: bool = False) -> Tensor:
        """bool ``[1, 1, n, keys]``: which keys a token sees, from the first in reach of any new token on.

        ``window``: in tokens, the one that looks included; ``chunked``: those from the start of its own chunk
        of ``window`` tokens, not the last ``window``.
        """
        first = 0 if window is None else max(0, self._start - window + 1)
        before = torch.arange(first, self._start, device=self._seen.device)
        own = self.positions
        query = own[:, None]
        if window is None:
            seen = torch.cat((torch.ones_like(before, dtype=torch.bool).expand(len(own), -1), self._seen), 1)
            return seen[None, None]
        least = query - query % window if chunked else query - window + 1
        return torch.cat((before >= least, self._seen & (own >= least)), 1)[None, None]


def prompt_first(model: Model, ids: Tensor, parents: Sequence[int]) -> Tensor:
    """Let ``model`` read a prompt before a tree as prompts are read; what of ``ids`` is left to read."""
    text = len(ids) - len(parents)
    if text <= _MANY:
        return ids
    model.advance(ids[: text - 1])
    return ids[text - 1 :]


class BranchingModel(Model, Branching, Protocol):
    """A model that can be asked whether it reads trees."""


def tree_fault(make: Callable[[], BranchingModel], model: PreTrainedModel) -> str:
    """What is wrong with how ``model`` reads a tree, if anything; ``make`` opens it with an empty cache.

    Two paths in one pass, and what follows the second, which is not where the cache has it, must have the
    logits that they have one by one.
    """
    ids = text(model)[:_TRIED]
    before, one, two, other, last = ids[:-4], ids[-4:-3], ids[-3:-2], ids[-2:-1], ids[-1:]

    def read(*parts: Tensor) -> Tensor:
        return make().advance(torch.cat((before, *parts)), 1 + sum(map(len, parts)))

    try:
        alone = read(one, two), read(other, last)
        tree = make()
        tree.advance(before[:-1])
        found = tree.branch(torch.cat((before[-1:], one, two, other)), [0, 1, 0])
        tree.prune(len(before), [2])
        after = tree.advance(last)
    except (torch.cuda.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        return f"it fails ({error})"
    same = near(found[:3], alone[0]) and near(torch.cat((found[3:], after)), alone[1][1:])
    return "" if same else "a token sees more than those before it"
