"""A decode that is running: its events one by one."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import GEN_RUNNING, getgeneratorstate

from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import Event
from anydraft.decoding.loop import decode
from anydraft.decoding.parallel import Team, round_with
from anydraft.decoding.sequence import Row
from anydraft.decoding.stats import Stats
from anydraft.errors import ArgumentError


class Stream(Iterator[Event]):
    """The events of a running decode; :attr:`stats` grows with them.

    Leaving the loop is enough where nobody else waits for what a decode holds; :meth:`close` says when.
    """

    def __init__(self, row: Row, caches: PairCaches, team: Team | None = None) -> None:
        """Made by :meth:`Speculator.stream`."""
        self.prompt_ids = row.prompt
        self.stats: Stats = row.stats
        self._row = row
        self._caches = caches
        self._events = decode([row], round_with(team))
        self._closed = False
        self._broken = False

    def __reduce__(self) -> tuple[object, ...]:
        """As its caches: see :class:`PairCaches`."""
        return self._caches.__reduce__()

    @property
    def method(self) -> str:
        """The method of the latest block: what ``"auto"`` chose; ``"none"`` if nothing was drafted yet."""
        return self._row.method

    def __next__(self) -> Event:
        """Run one round.

        Raises:
            ArgumentError: the caches were given to another decode meanwhile, or a round of this one runs: in
                another thread, or as what asks for the next.
        """
        if getgeneratorstate(self._events) == GEN_RUNNING:
            raise ArgumentError(
                "got a stream that was asked for its next event while a round of it runs; expected one "
                "reader at a time. Read it in one thread and hand on its events, or make one for each thread"
            )
        if self._over or self._row.finish_reason is not None:  # whoever has the caches now
            raise StopIteration
        try:
            with self._caches.held_by(self._row):
                if self._over:  # by another thread, meanwhile
                    raise StopIteration
                return next(self._events)[1]
        except BaseException:  # an interrupt may have lost an event: what came after it would have a hole
            self._broken = True
            raise

    @property
    def _over(self) -> bool:
        return self._closed or self._broken

    def close(self) -> None:
        """End the decode here; a second call does nothing.

        The iteration is over, and what a finished decode gives back is given back: its place in a batch, and
        ``caches``, which the next decode may have at once. Waits for a round that runs in another thread.
        What was said stays said. ``with contextlib.closing(stream):`` does it at the end of a block.
        """
        if not self._closed:
            self._closed = True
            self._caches.end(self._row)
