"""Matrices in whole numbers of one byte: a product reads a quarter of what it reads in float32.

Only a draft may compute so. Its law becomes a slightly different one, known exactly, and the output's law
does not depend on it; a target's passes must be the target's. (Elsewhere: int8 weight-only, W8A16.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anydraft.loading.rounding import row_scales, to_steps

_MULTIPLE = 32
"""What the size of a row must be a multiple of; PyTorch's product reads past the end of another."""

_PIECE = 1 << 22
"""Weights that are turned into whole numbers at a time."""


class Int8:
    """A matrix ``[out, in]`` to the nearest of 255 steps a row; a product is one of bfloat16 rows."""

    def __init__(self, weight: Tensor) -> None:
        """Make the copy; ``weight`` is not kept.

        Raises:
            ValueError: rows of a size that the product does not take.
        """
        out, size = weight.shape
        if size % _MULTIPLE or size == 0:
            raise ValueError(f"got rows of {size}; expected a multiple of {_MULTIPLE}")
        self.weight = torch.empty((out, size), dtype=torch.int8)
        self.scale = torch.empty(out, dtype=torch.bfloat16)
        many = max(1, _PIECE // size)
        for start in range(0, out, many):
            rows = weight.detach()[start : start + many].float()
            scale = row_scales(rows).bfloat16()
            self.scale[start : start + many] = scale
            self.weight[start : start + many] = to_steps(rows, scale.float())

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return self.weight.nbytes + self.scale.nbytes

    def __call__(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """``rows @ weight.T + bias``: ``[..., in]`` to ``[..., out]`` in the dtype of ``rows``."""
        op = torch.ops.anydraft.int8_product if torch.compiler.is_compiling() else _product
        found: Tensor = op(rows, self.weight, self.scale)
        return found if bias is None else found.add_(bias)

    @staticmethod
    def takes(weight: Tensor) -> bool:
        """Whether there can be such a copy of ``weight``."""
        return weight.dim() == 2 and weight.shape[1] % _MULTIPLE == 0 and weight.numel() > 0


def _product(rows: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    flat = rows.reshape(-1, rows.shape[-1]).to(torch.bfloat16).contiguous()
    found: Tensor = torch._weight_int8pack_mm(flat, weight, scale)
    return found.to(rows.dtype).view(*rows.shape[:-1], len(weight))


# To PyTorch's compiler it has no inside, so that it computes what it computes uncompiled.
_library: Any = torch.library.Library("anydraft", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("int8_product(Tensor rows, Tensor weight, Tensor scale) -> Tensor")
_library.impl("int8_product", _product, "CompositeExplicitAutograd")
torch.library.register_fake(
    "anydraft::int8_product",
    lambda rows, weight, scale: rows.new_empty((*rows.shape[:-1], len(weight))),
    lib=_library,
)
