"""The translation tables of a bridge, as arrays that torch can take over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.int64]

MISSING = -1
"""In a table: no such token."""


@dataclass(frozen=True)
class Tables:
    """int64 arrays, owned by Python."""

    draft_to_target: Ids
    """``[D]``: the target id of every draft id, or :data:`MISSING`."""
    target_to_draft: Ids
    """``[T]``: the draft id of every target id, or :data:`MISSING`."""
    expansion_offsets: Ids
    """``[D + 1]``: where each draft token's row of target tokens starts in :attr:`expansion_ids`."""
    expansion_ids: Ids
    """All rows, one after the other; an empty row means the target cannot write the token."""

    def arrays(self) -> dict[str, Ids]:
        """All tables by name."""
        return dict(vars(self))

    @property
    def nbytes(self) -> int:
        """Memory of all tables, in bytes."""
        return sum(array.nbytes for array in self.arrays().values())


@dataclass(frozen=True)
class ClassArrays:
    """How target tokens are written with draft tokens; int64, explained in ``drafting.class_tables``."""

    class_of: Ids
    """``[T]``"""
    merge_keys: Ids
    """``[M]``"""
    merge_ids: Ids
    """``[M]``"""
    crossing: Ids
    """``[D]``"""
    rest_offsets: Ids
    """``[D + 1]``"""
    rest_ids: Ids
    """``[K]``"""

    def arrays(self) -> dict[str, Ids]:
        """All tables by name."""
        return dict(vars(self))
