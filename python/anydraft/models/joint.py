"""Several sequences of one model, advanced in one pass where the model can."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, cast, runtime_checkable

from torch import Tensor

from anydraft.models.base import Branching, Model

NO_TREES: Mapping[int, Sequence[int]] = MappingProxyType({})


class Batch(Protocol):
    """One model with the caches of several sequences."""

    def __len__(self) -> int:
        """Number of sequences that are open."""

    def advance(
        self,
        rows: Sequence[int],
        ids: Sequence[Tensor],
        keep: Sequence[int],
        trees: Mapping[int, Sequence[int]] = NO_TREES,
    ) -> list[Tensor]:
        """Append ``ids[i]`` int64 ``[n_i]`` to row ``rows[i]``; logits ``[keep_i, vocab_size]`` of each.

        ``trees``: the parents of the trees with which the ids of some rows end; see
        :class:`~anydraft.models.base.Branching`. Of such a row the logits after the tree's tokens and the one
        before them are kept, and it must be pruned afterwards.
        """


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


def advance_together(
    models: Sequence[Model],
    ids: Sequence[Tensor],
    keep: Sequence[int],
    parents: Sequence[Sequence[int] | None] | None = None,
) -> list[Tensor]:
    """As :meth:`Model.advance` for each; those that are sequences of one batch share a pass.

    ``parents``: of those that read a tree, see :meth:`~anydraft.models.base.Branching.branch`.
    """
    trees = [None] * len(models) if parents is None else parents
    found: dict[int, Tensor] = {}
    for members in by_batch(models) if len(models) > 1 else [[0]]:
        if len(members) == 1:
            i = members[0]
            tree = trees[i]
            found[i] = (
                models[i].advance(ids[i], keep[i])
                if tree is None
                else cast(Branching, models[i]).branch(ids[i], tree)
            )
        else:
            ours = [models[i] for i in members], [ids[i] for i in members], [keep[i] for i in members]
            found.update(zip(members, _in_one_pass(*ours, [trees[i] for i in members]), strict=True))
    return [found[i] for i in range(len(models))]


def by_batch(models: Sequence[Model]) -> list[list[int]]:
    """The numbers of ``models``, those of one batch together, in order."""
    groups: dict[int, list[int]] = {}
    for i, model in enumerate(models):
        batch = model.batch if isinstance(model, Joint) else None
        groups.setdefault(-1 - i if batch is None else id(batch), []).append(i)
    return list(groups.values())


def _in_one_pass(
    models: Sequence[Any],
    ids: Sequence[Tensor],
    keep: Sequence[int],
    parents: Sequence[Sequence[int] | None],
) -> list[Tensor]:
    began = time.perf_counter()
    rows = [model.row for model in models]
    trees = {row: tree for row, tree in zip(rows, parents, strict=True) if tree is not None}
    logits: list[Tensor] = models[0].batch.advance(rows, ids, keep, *([trees] if trees else []))
    seconds = time.perf_counter() - began
    for model in models:
        model.passed(seconds)
    return logits
