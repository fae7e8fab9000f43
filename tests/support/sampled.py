"""Cases that are many and slow: some in every run, all with the sweeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def one_of(count: int, cases: Iterable[Any], first: int = 0) -> list[Any]:
    """Of so many ``cases`` one in every run, from number ``first`` on; the others are marked as a sweep."""
    return [
        case if i % count == first else pytest.param(*_values(case), marks=pytest.mark.sweep)
        for i, case in enumerate(cases)
    ]


def _values(case: Any) -> tuple[Any, ...]:
    return case if isinstance(case, tuple) else (case,)
