"""Whether weights are still what they were when a copy of them was made.

What is written through ``.data`` (adapters merged, weights synchronised or averaged) leaves no mark that
PyTorch keeps, so the numbers themselves are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_FEW = 4096
"""Numbers of a matrix up to which all of them are read."""


class Fingerprint:
    """The marks of some tensors, and some of their numbers, bit for bit.

    Seen exactly: every write that PyTorch counts (``copy_``, ``load_state_dict``, in-place arithmetic), other
    storage, another dtype, shape or device. Of what it does not count: any change of a vector, or of a matrix
    of at most 4096 numbers; of a larger matrix at least one number of every row and of every column is read.
    So whatever changes a whole row or column is seen, and of changes at random, of a share ``s`` of a matrix
    with ``n`` rows, all are missed with probability ``(1 - s) ** n`` at most. What can be missed is a handful
    of single numbers of a large matrix.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        """Read them; the tensors are kept."""
        self._tensors = list({id(tensor): tensor for tensor in tensors if tensor.numel()}.values())
        self._marks = self._marked()
        self._looks = [_look(tensor.detach()) for tensor in self._tensors]
        self._numbers = self._read()

    def holds(self) -> bool:
        """Whether nothing has changed since, as far as can be seen."""
        if self._marks != self._marked():
            return False
        return all(map(torch.equal, self._numbers, self._read()))

    def _marked(self) -> list[tuple[object, ...]]:
        return [
            (0 if t.is_inference() else t._version, t.data_ptr(), t.dtype, t.device, t.shape, t.stride())
            for t in self._tensors
        ]

    def _read(self) -> list[Tensor]:
        """One tensor a dtype and device."""
        parts: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for flat, places in self._looks:
            parts.setdefault((flat.dtype, flat.device), []).append(flat.index_select(0, places))
        return [torch.cat(some) for some in parts.values()]


def _look(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A tensor's storage as integers ``[n]``, so that what is no number equals itself, and where to look."""
    extent = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    flat = tensor.as_strided((extent,), (1,)).view(_INTEGERS[tensor.dtype.itemsize])
    return flat, _places(tuple(tensor.shape), tensor.stride(), tensor.device)


@lru_cache(maxsize=256)
def _places(shape: tuple[int, ...], stride: tuple[int, ...], device: torch.device) -> Tensor:
    """Where the numbers lie in storage, int64 ``[n]``; what has more dimensions is rows of the first."""
    if len(shape) < 2 or math.prod(shape) <= _FEW:
        return _all(shape, stride).to(device)
    rows, wide = shape[0], _all(shape[1:], stride[1:])
    generator = torch.Generator().manual_seed(0)
    met = min(rows, len(wide))
    orders = [torch.randperm(met, generator=generator) for _ in range(-(-rows // met))]
    every = torch.arange(rows) * stride[0] + wide[torch.cat(orders)[:rows]]
    rest = rows // 2 * stride[0] + wide[met:]
    return torch.cat((every, rest)).sort().values.to(device)


def _all(shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    place = torch.zeros(1, dtype=torch.int64)
    for size, step in zip(shape, stride, strict=True):
        place = (place[:, None] + torch.arange(size) * step).flatten()
    return place
