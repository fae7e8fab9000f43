"""What both models have read, kept from one decode to the next."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

from torch import Tensor

from anydraft.drafting.view import DraftView
from anydraft.models.protocol import Model
from anydraft.row import Row


class PairCaches:
    """A target and a draft, each with the cache of one sequence; a new prompt feeds only what is new."""

    def __init__(self, target: Model, draft: Model) -> None:
        """Nothing has been read yet."""
        self.target = target
        self.draft = draft
        self._view: DraftView | None = None
        self._row: Row | None = None

    def used_by(self, row: Row) -> None:
        """A decode begins: the target's cache is cut back to what ``row``'s prompt has in common with it."""
        if self._row is not None:
            self.target.crop(common(self._read(), row.prompt))
        self._row = row

    def show(self, ids: list[int], law: Callable[[Tensor], Tensor]) -> DraftView:
        """The draft's view of ``ids``, on top of what the draft has read of them."""
        if self._view is None:
            self._view = DraftView(self.draft, ids, law)
        else:
            self._view.renew(ids, law)
        return self._view

    def _read(self) -> list[int]:
        """The ids in the target's cache."""
        if self._row is None:
            return []
        ids: list[int] = self._row.committed.ids[: self.target.length].tolist()
        return ids


def common(left: list[int], right: list[int]) -> int:
    """Length of the longest common prefix."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
