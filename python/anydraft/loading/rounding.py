"""Matrices to whole numbers of one byte, with a scale for every row."""

from __future__ import annotations

from torch import Tensor

STEPS = 127
"""Steps of a number to either side of 0."""


def row_scales(rows: Tensor) -> Tensor:
    """Rows ``[n, m]`` in floating point to the size of a step of each, ``[n]``."""
    return (rows.abs().amax(-1) / STEPS).clamp(min=1e-12)


def to_steps(rows: Tensor, scales: Tensor) -> Tensor:
    """Rows ``[n, m]`` to the nearest steps of ``scales`` ``[n]``: whole numbers, not yet int8."""
    return (rows / scales.unsqueeze(-1)).round_().clamp_(-STEPS, STEPS)
