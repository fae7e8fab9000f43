"""Draft tokens as rows of target tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from anydraft.errors import ArgumentError

KEPT = 16
"""Columns that are kept on the device once they were made; a token of more is rare."""


class Expansion:
    """For every draft token the target tokens that stand for it; an empty row where there are none."""

    def __init__(self, offsets: Tensor, ids: Tensor, device: torch.device | str = "cpu") -> None:
        """Compressed rows: ``ids[offsets[d]:offsets[d + 1]]`` is the row of draft token ``d``.

        Shapes: ``offsets`` int64 ``[D + 1]``, ``ids`` int64 ``[N]``. Raises :class:`ArgumentError` if they do
        not fit together.
        """
        if len(offsets) < 1 or int(offsets[0]) != 0 or int(offsets[-1]) != len(ids):
            raise ArgumentError(
                f"offsets of compressed rows must run from 0 to {len(ids)}, the number of ids; "
                f"got {offsets[:1].tolist()} to {offsets[-1:].tolist()}"
            )
        self._host_offsets, self._host_ids = offsets.tolist(), ids.tolist()
        self._starts = offsets[:-1].to(device)
        self._ids = torch.cat((ids, ids.new_zeros(1))).to(device)
        self.lengths = offsets.diff().to(device)
        """int64 ``[D]``: number of target tokens of each draft token."""
        self._columns: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """Number of draft tokens."""
        return len(self.lengths)

    def row(self, draft_id: int) -> list[int]:
        """The target ids of one draft token."""
        start, end = self._host_offsets[draft_id : draft_id + 2]
        row: list[int] = self._host_ids[start:end]
        return row

    def column(self, depth: int) -> Tensor:
        """int64 ``[D]``: the target id number ``depth`` of every draft token, 0 where the row is shorter."""
        found = self._columns.get(depth)
        if found is None:
            last = len(self._ids) - 1
            found = self._ids[torch.where(self.lengths > depth, self._starts + depth, last)]
            if depth < KEPT:
                self._columns[depth] = found
        return found

    def going_on(self, prefix: list[int], before: Tensor | None = None) -> Tensor:
        """bool ``[D]``: whose row starts with ``prefix`` and is longer.

        ``before``: the same for all of ``prefix`` but its last id, if that is known.
        """
        agrees = self.lengths > len(prefix)
        if before is not None:
            return agrees & before & (self.column(len(prefix) - 1) == prefix[-1])
        for depth, target_id in enumerate(prefix):
            agrees = agrees & (self.column(depth) == target_id)
        return agrees
