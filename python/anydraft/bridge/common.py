"""Ids: what two lists of them have in common, and whole numbers of any library as Python's."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common prefix."""
    differ = (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
    return next(differ, min(len(left), len(right)))


def whole(value: Any) -> int | None:
    """A whole number of Python, NumPy or PyTorch as Python's; ``None`` for anything else, a bool too."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
