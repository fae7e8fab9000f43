"""Which products of a few rows with a matrix this machine has, and which is the quickest: tried once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from anydraft.models.fast.cpu_linear import MOST_ROWS, NOWHERE, Packed, Quicker, product
from anydraft.models.fast.int8 import Int8

Product = Callable[..., Tensor]
"""``(rows, bias=None) -> rows @ weight.T + bias``."""

_TRIED = (1, 2, 4, 8, MOST_ROWS)
_SIZE = (1536, 1024)
"""The shape of the matrices that are timed, and their number: more than fits a processor's caches."""
_COUNT = 6
_REPEATS = 5
_GAIN = 0.95
_NEAR = {"int8": 0.02}
"""How far a product may be from the true one, as a share of the largest."""
_ERROR = 4
"""How far any other may be, in errors of PyTorch's own product."""
_MISSING = (RuntimeError, TypeError, AttributeError)
"""What a call of an operator raises that is not there, is another, or lacks the processor for it."""

_MAKERS: Mapping[str, Callable[[Tensor], Product]] = {
    "own": lambda weight: partial(linear, weight=weight),
    "unpacked": lambda weight: partial(product, weight=weight),
    "packed": Packed,
    "int8": Int8,
}

_BESIDE = {"unpacked": ("own",), "packed": ("own",), "int8": ("own", "unpacked")}
"""What each must beat: what would be used in its place."""


@cache
def can(name: str, dtype: torch.dtype) -> bool:
    """Whether this machine has the product ``"unpacked"``, ``"packed"`` or ``"int8"`` for such matrices.

    Tried on small ones, with and without a bias: its error against float64 must be like PyTorch's own.
    """
    generator = torch.Generator().manual_seed(0)
    weight, given = (torch.randn((rows, 64), generator=generator).to(dtype) for rows in (48, MOST_ROWS))
    bias = torch.randn(48, generator=generator).to(dtype)
    try:
        multiply = _MAKERS[name](weight)
        return all(
            _near(name, multiply, (given[:rows], weight, added)) for rows in _TRIED for added in (None, bias)
        )
    except _MISSING:
        return False


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
            if spent[name] < _GAIN * best:
                found[name].update(range(least, rows + 1))
        least = rows + 1
    if 1 not in found["int8"]:  # most of a draft's passes are over one token
        found["int8"].clear()
    return Quicker(**{name: frozenset(rows) for name, rows in found.items()})


def _ways(weights: Sequence[Tensor]) -> dict[str, list[Product]]:
    """The products that there are here, of all the matrices."""
    return {
        name: [make(weight) for weight in weights]
        for name, make in _MAKERS.items()
        if name == "own" or can(name, weights[0].dtype)
    }


@torch.no_grad()
def _near(name: str, multiply: Product, given: tuple[Tensor, Tensor, Tensor | None]) -> bool:
    rows, weight, bias = given
    true = linear(rows.double(), weight.double(), None if bias is None else bias.double())
    far = (multiply(rows, bias=bias).double() - true).abs().amax()
    if name in _NEAR:
        return bool(far <= _NEAR[name] * true.abs().amax())
    own = (linear(rows, weight, bias).double() - true).abs().amax()
    return bool(far <= _ERROR * own + torch.finfo(rows.dtype).eps * true.abs().amax())


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
