"""Linear layers on a CPU for a few rows at a time: what verifying a block of candidates asks for.

PyTorch multiplies a matrix by one row with a routine made for it, and by several with one that first packs
the matrix, which for few rows costs more than the product. oneDNN's needs no packing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

MOST_ROWS = 16
"""With more rows than this nothing is gained, or not enough."""

_TRIED = (1, 2, 4, 8, MOST_ROWS)
_SIZE = (1536, 1024)
"""The shape of the matrix that is timed: larger than a processor's own caches for one core."""
_REPEATS = 5
_GAIN = 0.95


class FewRowsLinear(nn.Linear):
    """``torch.nn.Linear`` that uses oneDNN's product for those numbers of rows for which it is quicker."""

    quicker: frozenset[int]

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name that torch gives it
        """See :class:`torch.nn.Linear`."""
        if input.numel() // input.shape[-1] in self.quicker and not torch.is_grad_enabled():
            return product(input, self.weight, self.bias)
        return linear(input, self.weight, self.bias)


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``rows @ weight.T + bias`` by oneDNN: ``[..., in]`` and ``[out, in]`` to ``[..., out]``."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return result


@cache
def quicker_row_counts(threads: int) -> frozenset[int]:
    """The numbers of rows for which oneDNN's product is quicker here; timed once, in some milliseconds.

    ``threads``: the number that torch uses; the answer is kept for it.
    """
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # type: ignore[no-untyped-call]
        return frozenset()
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(_SIZE, generator=generator) for _ in range(4)]
    found: set[int] = set()
    least = 1
    for rows in _TRIED:
        given = torch.randn((1, rows, _SIZE[1]), generator=generator)
        try:
            same = torch.allclose(product(given, weights[0]), linear(given, weights[0]), rtol=1e-3, atol=1e-3)
        except (RuntimeError, TypeError):  # an operator of another version
            return frozenset()
        ours, theirs = _times(weights, given)
        if same and ours < _GAIN * theirs:
            found |= set(range(least, rows + 1))
        least = rows + 1
    return frozenset(found)


@torch.no_grad()
def _times(weights: list[Tensor], rows: Tensor) -> tuple[float, float]:
    """Median seconds for all products, by oneDNN and by PyTorch's own, taking turns."""
    ways: list[Callable[[Tensor, Tensor], Any]] = [product, linear]
    spent: list[list[float]] = [[], []]
    for turn in range(_REPEATS + 1):
        for way, times in zip(ways, spent, strict=True):
            began = time.perf_counter()
            for weight in weights:
                way(rows, weight)
            if turn:  # the first turn warms up
                times.append(time.perf_counter() - began)
    return statistics.median(spent[0]), statistics.median(spent[1])
