"""A decode that is running: its events one by one."""

from __future__ import annotations

from collections.abc import Iterator

from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import Event
from anydraft.decoding.loop import decode
from anydraft.decoding.sequence import Row
from anydraft.decoding.shared import Team, round_with
from anydraft.decoding.stats import Stats


class Stream(Iterator[Event]):
    """The events of a running decode; :attr:`stats` grows with them."""

    def __init__(self, row: Row, caches: PairCaches, team: Team | None = None) -> None:
        """Made by :meth:`Speculator.stream`."""
        self.prompt_ids = row.prompt
        self.stats: Stats = row.stats
        self._row = row
        self._caches = caches
        self._events = decode([row], round_with(team))

    @property
    def method(self) -> str:
        """The method of the latest block: what ``"auto"`` chose; ``"none"`` if nothing was drafted yet."""
        return self._row.method

    def __next__(self) -> Event:
        """Run one round.

        Raises:
            ArgumentError: the caches were given to another decode meanwhile.
        """
        if self._row.finish_reason is not None:  # whoever has the caches now
            raise StopIteration
        with self._caches.held_by(self._row):
            return next(self._events)[1]
