"""Linear layers on a CPU for a few rows at a time: what verifying a block of candidates asks for.

PyTorch multiplies a matrix by one row with a routine made for it. For several rows it packs the matrix anew
each time, which costs more than the product. oneDNN's product needs no packing; and with a matrix that was
packed once, at the price of a second copy, a few rows cost no more than one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

Weights = Literal["auto", "shared", "packed"]
"""Whether linear layers on a CPU get a second, packed copy of their weights; ``"auto"``: if there is room."""

MOST_ROWS = 16
"""With more rows than this nothing is gained, or not enough."""

_TRIED = (1, 2, 4, 8, MOST_ROWS)
_SIZE = (1536, 1024)
"""The shape of the matrices that are timed, and their number: more than fits a processor's caches."""
_COUNT = 6
_REPEATS = 5
_GAIN = 0.95
_HINT = 4
"""Number of rows that a packed matrix is laid out for; the layout serves others as well."""


class Quicker(NamedTuple):
    """The numbers of rows for which oneDNN's product is quicker than PyTorch's own."""

    shared: frozenset[int]
    """With the weights as they are."""
    packed: frozenset[int]
    """With a packed copy of them."""


NOWHERE = Quicker(frozenset(), frozenset())


class FewRows:
    """``rows @ weight.T + bias`` in whatever way is quickest for that number of rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None, quicker: Quicker, weights: Weights) -> None:
        """``weights="packed"`` makes the copy; with anything else there is none."""
        self._weight, self._bias, self._quicker = weight, bias, quicker
        self._packed = packed(weight) if weights == "packed" and quicker.packed else None

    def __call__(self, rows: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``; without gradients."""
        count = rows.numel() // rows.shape[-1]
        if self._packed is not None and count in self._quicker.packed:
            return product(rows, self._packed, self._bias)
        if count in self._quicker.shared:
            return product(rows, self._weight, self._bias)
        return linear(rows, self._weight, self._bias)


class Joined:
    """Linear layers that take the same rows: with packed weights, one product for a few rows."""

    def __init__(self, layers: Sequence[nn.Linear], quicker: Quicker, weights: Weights) -> None:
        """``weights``: as for :class:`FewRows`."""
        self._quicker = quicker.packed if weights == "packed" else frozenset[int]()
        self._sizes = [layer.out_features for layer in layers]
        own: Weights = "packed" if len(layers) == 1 and self._quicker else "shared"
        self._each = [FewRows(layer.weight, layer.bias, quicker, own) for layer in layers]
        self._packed: Tensor | None = None
        alike = len({layer.bias is None for layer in layers}) == 1
        if len(layers) > 1 and alike and self._quicker:
            self._packed = packed(torch.cat([layer.weight.detach() for layer in layers]))
        biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
        self._bias = torch.cat(biases).detach() if len(biases) == len(layers) else None

    def __call__(self, rows: Tensor) -> tuple[Tensor, ...]:
        """``[..., in]`` to ``[..., out]`` of each layer."""
        if self._together(rows):
            return torch.split_with_sizes(self.whole(rows), self._sizes, -1)
        return tuple(layer(rows) for layer in self._each)

    def whole(self, rows: Tensor) -> Tensor:
        """The same, one after the other in one tensor."""
        if self._together(rows):
            assert self._packed is not None
            return product(rows, self._packed, self._bias)
        return torch.cat([layer(rows) for layer in self._each], -1)

    def _together(self, rows: Tensor) -> bool:
        return self._packed is not None and rows.numel() // rows.shape[-1] in self._quicker


class FewRowsLinear(nn.Linear):
    """``torch.nn.Linear`` that computes with :class:`FewRows` where no gradients are wanted."""

    few: FewRows

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name that torch gives it
        """See :class:`torch.nn.Linear`."""
        return linear(input, self.weight, self.bias) if torch.is_grad_enabled() else self.few(input)


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``rows @ weight.T + bias`` by oneDNN; ``weight`` may be packed. Shapes as for :func:`linear`."""
    if torch.compiler.is_compiling():
        opaque: Tensor = torch.ops.anydraft.few_rows(rows, weight, bias, weight.shape[0])
        return opaque
    return _product(rows, weight, bias)


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None, out: int = 0) -> Tensor:
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return result


# PyTorch's compiler takes oneDNN's product only with constants; to it, this one has no inside.
_library: Any = torch.library.Library("anydraft", "DEF")  # type: ignore[no-untyped-call]
_library.define("few_rows(Tensor rows, Tensor weight, Tensor? bias, int out) -> Tensor")
_library.impl("few_rows", _product, "CompositeExplicitAutograd")
torch.library.register_fake(
    "anydraft::few_rows",
    lambda rows, weight, bias, out: rows.new_empty((*rows.shape[:-1], out)),
    lib=_library,
)


def packed(weight: Tensor) -> Tensor:
    """A copy of ``weight`` ``[out, in]`` in oneDNN's own layout."""
    copy: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _HINT)
    return copy


@cache
def quicker(dtype: torch.dtype, threads: int) -> Quicker:
    """Where oneDNN's product is quicker on this machine; timed once, in some tens of milliseconds.

    ``threads``: the number that torch uses; the answer is kept for it.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return NOWHERE
    generator = torch.Generator().manual_seed(0)
    plain = [torch.randn(_SIZE, generator=generator).to(dtype) for _ in range(_COUNT)]
    shared: set[int] = set()
    apart: set[int] = set()
    least = 1
    try:
        copies = [packed(weight) for weight in plain]
        for rows in _TRIED:
            given = torch.randn((1, rows, _SIZE[1]), generator=generator).to(dtype)
            expected = linear(given, plain[0]).float()
            close = 0.02 * expected.abs().amax()
            spent = _times(plain, copies, given)
            for found, weights, seconds in ((shared, plain, spent[1]), (apart, copies, spent[2])):
                far = (product(given, weights[0]).float() - expected).abs().amax()
                if seconds < _GAIN * spent[0] and bool(far <= close):
                    found.update(range(least, rows + 1))
            least = rows + 1
    except (RuntimeError, TypeError, AttributeError):  # an operator that is not there, or is another
        return NOWHERE
    return Quicker(frozenset(shared), frozenset(apart))


@torch.no_grad()
def _times(plain: list[Tensor], copies: list[Tensor], rows: Tensor) -> list[float]:
    """Median seconds for all products: PyTorch's own, oneDNN's, and with packed copies; they take turns."""
    ways: list[tuple[Callable[[Tensor, Tensor], Tensor], list[Tensor]]] = [
        (linear, plain),
        (product, plain),
        (product, copies),
    ]
    spent: list[list[float]] = [[] for _ in ways]
    for turn in range(_REPEATS + 1):
        for (way, weights), times in zip(ways, spent, strict=True):
            began = time.perf_counter()
            for weight in weights:
                way(rows, weight)
            if turn:  # the first turn warms up
                times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in spent]
