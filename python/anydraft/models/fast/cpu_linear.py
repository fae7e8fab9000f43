"""Linear layers on a CPU for a few rows at a time: what verifying a block of candidates asks for.

PyTorch multiplies a matrix by one row with a routine made for it. For several rows it packs the matrix anew
each time, which costs more than the product. oneDNN's product needs no packing; and with a matrix that was
packed once, at the price of a second copy, a few rows cost no more than one. A draft may also take a copy of
a quarter of the size (:mod:`anydraft.models.fast.int8`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from anydraft.models.fast.int8 import Int8
from anydraft.models.weights import DraftWeights

MOST_ROWS = 16
"""With more rows than this nothing is gained, or not enough."""

_HINT = 4
"""Number of rows that a packed matrix is laid out for; the layout serves others as well."""


class Quicker(NamedTuple):
    """The numbers of rows for which oneDNN's product is quicker than PyTorch's own."""

    unpacked: frozenset[int]
    """With the weights as they are."""
    packed: frozenset[int]
    """With a packed copy of them."""
    int8: frozenset[int] = frozenset()
    """With a copy in bytes; none, if one is not among them."""

    def copy_of(self, matrices: Sequence[Tensor], weights: DraftWeights) -> Copy:
        """A second copy as ``weights`` says, if it is quicker anywhere; else :data:`NO_COPY`.

        ``matrices`` ``[out, in]`` have the same rows, and are joined to one.
        """
        if weights == "packed" and self.packed:
            return Copy(self.packed, Packed(_joined(matrices)))
        if weights == "int8" and self.int8 and all(Int8.takes(matrix) for matrix in matrices):
            return Copy(self.int8, Int8(_joined(matrices)))
        return NO_COPY


class Packed:
    """A copy of a matrix ``[out, in]`` in oneDNN's own layout."""

    def __init__(self, weight: Tensor) -> None:
        """Make the copy."""
        self.weight = packed(weight)
        self.nbytes = weight.nbytes

    def __call__(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """See :func:`product`."""
        return product(rows, self.weight, bias)


class Copy(NamedTuple):
    """A second copy of a matrix, and when to use it."""

    counts: frozenset[int]
    """Numbers of rows."""
    product: Packed | Int8 | None


NOWHERE = Quicker(frozenset(), frozenset())
NO_COPY = Copy(frozenset(), None)


class FewRows:
    """``rows @ weight.T + bias`` in whatever way is quickest for that number of rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None, quicker: Quicker, weights: DraftWeights) -> None:
        """``weights`` of ``"packed"`` or ``"int8"`` makes the copy; with anything else there is none."""
        self._weight, self._bias, self._quicker = weight, bias, quicker
        self._copy = quicker.copy_of([weight], weights)

    @property
    def nbytes(self) -> int:
        """Memory that the copy takes."""
        return self._copy.product.nbytes if self._copy.product else 0

    @property
    def copied(self) -> list[Tensor]:
        """What there is a copy of."""
        return [self._weight] if self._copy.product else []

    def __call__(self, rows: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``; without gradients."""
        count = rows.numel() // rows.shape[-1]
        if self._copy.product is not None and count in self._copy.counts:
            return self._copy.product(rows, self._bias)
        if count in self._quicker.unpacked:
            return product(rows, self._weight, self._bias)
        return linear(rows, self._weight, self._bias)


class FusedLinear:
    """Linear layers that take the same rows: with a second copy of them, one product for a few rows."""

    def __init__(self, layers: Sequence[nn.Linear], quicker: Quicker, weights: DraftWeights) -> None:
        """``weights``: as for :class:`FewRows`."""
        self._sizes = [layer.out_features for layer in layers]
        own: DraftWeights = weights if len(layers) == 1 else "unpacked"
        self._each = [FewRows(layer.weight, layer.bias, quicker, own) for layer in layers]
        self._copy, self._bias = NO_COPY, None
        self.copied = [tensor for layer in self._each for tensor in layer.copied]
        """What there is a copy of."""
        matrices: list[Tensor] = [layer.weight for layer in layers]
        biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
        if len(layers) > 1 and len(biases) in (0, len(layers)):
            self._copy = quicker.copy_of(matrices, weights)
        if self._copy.product is not None:
            self.copied = [*matrices, *biases]
            self._bias = torch.cat(biases).detach() if biases else None

    def __call__(self, rows: Tensor) -> tuple[Tensor, ...]:
        """``[..., in]`` to ``[..., out]`` of each layer."""
        if self._together(rows):
            return torch.split_with_sizes(self.whole(rows), self._sizes, -1)
        return tuple(layer(rows) for layer in self._each)

    def whole(self, rows: Tensor) -> Tensor:
        """The same, one after the other in one tensor."""
        if self._together(rows):
            assert self._copy.product is not None
            return self._copy.product(rows, self._bias)
        return torch.cat([layer(rows) for layer in self._each], -1)

    def _together(self, rows: Tensor) -> bool:
        return rows.numel() // rows.shape[-1] in self._copy.counts


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


def _joined(matrices: Sequence[Tensor]) -> Tensor:
    detached = [matrix.detach() for matrix in matrices]
    return detached[0] if len(detached) == 1 else torch.cat(detached)


def packed(weight: Tensor) -> Tensor:
    """A copy of ``weight`` ``[out, in]`` in oneDNN's own layout."""
    copy: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _HINT)
    return copy
