"""What the planner predicts for a pair, as plain values; the only part of a report that needs weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Temperature = Literal["greedy", "sampling"]


@dataclass(frozen=True)
class PredictedSpeed:
    """A method at its best length."""

    method: str
    length: int
    """Draft tokens of a block; 0 for the target alone."""
    tokens_per_pass: float
    tokens_per_second: float
    speedup: float
    """Beside the target alone."""


@dataclass(frozen=True)
class PredictedPlan:
    """The planner's table for one way to decode, every method at its best length, the fastest first."""

    decoding: Temperature
    rows: list[PredictedSpeed]
    recommendation: str
    """With its reasons."""
