"""Which product of a few rows with a matrix is the quickest on this machine: timed once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from anydraft.models.few_rows import MOST_ROWS, NOWHERE, Packed, Quicker, product
from anydraft.models.int8 import Int8

Product = Callable[[Tensor], Tensor]

_TRIED = (1, 2, 4, 8, MOST_ROWS)
_SIZE = (1536, 1024)
"""The shape of the matrices that are timed, and their number: more than fits a processor's caches."""
_COUNT = 6
_REPEATS = 5
_GAIN = 0.95
_NEAR = 0.02
"""How far a product may be from PyTorch's own, as a share of the largest."""

_MAKERS: Mapping[str, Callable[[Tensor], Product]] = {
    "own": lambda weight: partial(linear, weight=weight),
    "shared": lambda weight: partial(product, weight=weight),
    "packed": Packed,
    "int8": Int8,
}

_BESIDE = {"shared": ("own",), "packed": ("own",), "int8": ("own", "shared")}
"""What each must beat: what would be used in its place."""


@cache
def quicker(dtype: torch.dtype, threads: int) -> Quicker:
    """Where other products than PyTorch's own are quicker; timed once, in some tens of milliseconds.

    ``threads``: the number that torch uses; the answer is kept for it.
    """
    if not dtype.is_floating_point:
        return NOWHERE
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(_SIZE, generator=generator).to(dtype) for _ in range(_COUNT)]
    ways = _ways(weights)
    found: dict[str, set[int]] = {name: set() for name in _BESIDE}
    least = 1
    for rows in _TRIED:
        given = torch.randn((1, rows, _SIZE[1]), generator=generator).to(dtype)
        spent = _times(ways, given)
        for name in found.keys() & ways.keys():
            best = min(spent[other] for other in _BESIDE[name] if other in spent)
            if spent[name] < _GAIN * best and _near(ways, name, given):
                found[name].update(range(least, rows + 1))
        least = rows + 1
    if 1 not in found["int8"]:  # most of a draft's passes are over one token
        found["int8"].clear()
    return Quicker(**{name: frozenset(rows) for name, rows in found.items()})


def _ways(weights: Sequence[Tensor]) -> dict[str, list[Product]]:
    """The products that there are here, of all the matrices."""
    row = torch.ones((1, 1, _SIZE[1]), dtype=weights[0].dtype)
    ways: dict[str, list[Product]] = {}
    for name, make in _MAKERS.items():
        try:
            products = [make(weight) for weight in weights]
            products[0](row)
        except (RuntimeError, TypeError, AttributeError):  # an operator that is not there, or is another
            continue
        ways[name] = products
    return ways


@torch.no_grad()
def _near(ways: Mapping[str, Sequence[Product]], name: str, rows: Tensor) -> bool:
    found, expected = ways[name][0](rows).float(), ways["own"][0](rows).float()
    return bool((found - expected).abs().amax() <= _NEAR * expected.abs().amax())


@torch.no_grad()
def _times(ways: Mapping[str, Sequence[Product]], rows: Tensor) -> dict[str, float]:
    """Median seconds for all matrices; the ways take turns."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(_REPEATS + 1):
        for name, products in ways.items():
            began = time.perf_counter()
            for multiply in products:
                multiply(rows)
            if turn:  # the first turn warms up
                spent[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in spent.items()}
