"""Which row of a server's batch is which request, told by the ids alone.

Servers move rows about when requests finish, are aborted or preempted, and do not say so to a proposer. A
request goes on where all its ids so far stand at the front of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]


@dataclass(eq=False)
class Known:
    """The ids of a request as of the last round (:attr:`ids`, int32 ``[n]``), and what is kept with them."""

    kept: Any
    idle: int = 0
    """Rounds since it was last seen: a preempted request may come back."""

    def __post_init__(self) -> None:
        """Start without ids."""
        self._store: Ids = np.empty(256, dtype=np.int32)
        self.ids: Ids = self._store[:0]

    def extend(self, new: Ids) -> None:
        """Append ids; costs what is new."""
        length, end = len(self.ids), len(self.ids) + len(new)
        if end > len(self._store):
            store = np.empty(2 * end, dtype=np.int32)
            store[:length] = self.ids
            self._store = store
        self._store[length:end] = new
        self.ids = self._store[:end]

    def begins(self, row: Ids) -> bool:
        """Whether ``row`` ``[m]`` starts with these ids. Costs one comparison of memory."""
        length = len(self.ids)
        if not 0 < length <= len(row) or row[length - 1] != self.ids[-1]:  # mostly it ends here
            return False
        return bool(np.array_equal(row[:length], self.ids))


class RequestTable:
    """The requests seen lately, in the order of the rows where they were seen last."""

    def __init__(self, patience: int) -> None:
        """``patience``: rounds after which a request that was not seen is forgotten."""
        self._patience = patience
        self._known: list[Known] = []

    def match(self, rows: Sequence[Ids]) -> list[Known | None]:
        """The request of every row, ``None`` for a new one; each request is given at most once.

        The longest fit comes first. Where two requests fit the same row their ids are the same so far, and it
        does not matter which goes on as which.
        """
        fits = [
            (len(known.ids), i, known)
            for i, row in enumerate(rows)
            for known in self._known
            if known.begins(row)
        ]
        found: list[Known | None] = [None] * len(rows)
        taken: set[int] = set()
        for _, i, known in sorted(fits, key=lambda fit: fit[0], reverse=True):
            if found[i] is None and id(known) not in taken:
                found[i] = known
                taken.add(id(known))
        return found

    def seen(self, current: Sequence[Known]) -> list[Known]:
        """These are the rows now; what is returned was not seen for too long and is forgotten."""
        gone: list[Known] = []
        waiting: list[Known] = []
        for known in self._known:
            if not any(known is other for other in current):
                known.idle += 1
                (gone if known.idle > self._patience else waiting).append(known)
        for known in current:
            known.idle = 0
        self._known = [*current, *waiting]
        return gone

    def drop_idle(self, count: int) -> list[Known]:
        """Forget up to ``count`` requests that were not seen in the last round, the longest unseen first."""
        idle = sorted((k for k in self._known if k.idle), key=lambda known: known.idle, reverse=True)[:count]
        self._known = [known for known in self._known if not any(known is other for other in idle)]
        return idle

    def drop_all(self) -> list[Known]:
        """Forget every request."""
        known, self._known = self._known, []
        return known

    def __len__(self) -> int:
        """Number of requests kept."""
        return len(self._known)
