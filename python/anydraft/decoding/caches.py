"""What both models have read, kept from one decode to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

from torch import Tensor

from anydraft.bridge.common import common_prefix
from anydraft.decoding.sequence import Row, close
from anydraft.errors import ArgumentError
from anydraft.models.base import Model
from anydraft.proposers.draft_state import DraftState


class PairCaches:
    """A target and a draft, each with the cache of one sequence; a new prompt feeds only what is new."""

    def __init__(self, target: Model, draft: Model) -> None:
        """Nothing has been read yet."""
        self.target = target
        self.draft = draft
        self.owner: object = None
        """What made them, if only that may decode with them."""
        self._view: DraftState | None = None
        self._row: Row | None = None
        self._busy = RLock()  # an interrupt may leave it locked, which must not lock this thread out

    def __reduce__(self) -> tuple[object, ...]:
        """Caches belong to the models of this process."""
        raise ArgumentError(
            "got a running decode or its caches, to be pickled; expected what it has said. Hand on its "
            "events or messages, and begin anew in the other process"
        )

    @staticmethod
    def check(caches: object, owner: object) -> None:
        """Raise :class:`ArgumentError` for what are no caches, or those of another owner."""
        if not isinstance(caches, PairCaches):
            raise ArgumentError(
                f"got caches of type {type(caches).__name__}; expected what Speculator.engine.caches() "
                "makes, which hold what both models have read. Make them with it, or leave caches out"
            )
        if caches.owner is not None and caches.owner is not owner:
            raise ArgumentError(
                "got caches that another Speculator has made; expected those of this one, because they run "
                "the models of their own. Make them with its engine.caches(), or leave caches out"
            )

    @contextmanager
    def held_by(self, row: Row) -> Iterator[None]:
        """One round of a decode, while which no other may begin.

        Raises:
            ArgumentError: another decode has begun with these caches.
        """
        with self._busy:
            if self._row is not row:
                raise ArgumentError(
                    "got a decode whose caches were given to another one; expected one decode at a time. "
                    "Finish a stream before its caches or its chat are used again, or give it up"
                )
            yield

    def begin(
        self, ids: list[int], law: Callable[[Tensor], Tensor], make: Callable[[DraftState], Row]
    ) -> Row:
        """A decode begins, with the row that ``make`` makes of the draft's view of ``ids``.

        Waits for a round that still runs. Both caches are cut back to what they have in common with the new
        texts.
        """
        with self._busy:
            row = make(self._show(ids, law))
            if self._row is not None:
                self.target.crop(common_prefix(self._read(), row.prompt))
            self._row = row
            return row

    def end(self, row: Row) -> None:
        """A decode is given up; waits for a round of it that still runs. One that is not the latest has
        nothing to give back: its caches are another's.
        """
        with self._busy:
            if self._row is row:
                row.leave()

    def leave(self) -> None:
        """Give the places of both sequences back where no decode has begun."""
        close(self.target)
        close(self.draft)

    def _show(self, ids: list[int], law: Callable[[Tensor], Tensor]) -> DraftState:
        """The draft's view of ``ids``, on top of what the draft has read of them."""
        if self._view is None:
            self._view = DraftState(self.draft, ids, law)
        else:
            self._view.renew(ids, law)
        return self._view

    def _read(self) -> list[int]:
        """The committed ids in the target's cache; after a failure it may hold candidates behind them."""
        if self._row is None:
            return []
        ids: list[int] = self._row.committed.ids[: self.target.length].tolist()
        return ids
