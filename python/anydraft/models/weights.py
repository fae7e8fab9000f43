"""Which weights run a pass, and how much of them it reads: a first guess of its time."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor
from torch.nn import Module

from anydraft.models.loaded import embedding_of, head_of

Weights = Literal["auto", "model", "unpacked", "packed"]
"""What runs a model's passes. ``"model"``: the model itself, as transformers calls it. Else code of our own
that computes the same: on the model's weights (``"unpacked"``), or on a CPU also on a packed copy of them
(``"packed"``), if this machine can pack; ``"auto"``: packed, if that is quicker and there is room."""

DraftWeights = Literal["auto", "model", "unpacked", "packed", "int8"]
"""The same of a draft, whose copy may be in whole numbers of one byte."""


def pass_bytes(model: Module, weights: DraftWeights = "unpacked") -> int:
    """Bytes of weights that a pass over one token reads; experts of a mixture are all counted.

    Of an input embedding a pass reads one row, so only the output head counts, tied to it or not. What
    several layers share counts for each. With ``weights="int8"`` every number is a byte.
    """
    model = getattr(model, "_orig_mod", model)  # of a compiled one
    table = embedding_of(model)
    size = table.element_size() if weights == "int8" else 1
    return max(1, (_bytes(model) - table.numel() * table.element_size()) // size)


def head_share(model: Module) -> float:
    """The share of the output head in what a pass reads."""
    head = head_of(model)
    assert head is not None
    return _bytes(head) / pass_bytes(model)


def _bytes(module: Module) -> int:
    return sum(_held(parameter) for part in module.modules() for parameter in part.parameters(recurse=False))


def _held(tensor: Any) -> int:
    """Bytes of a tensor; one that is made of others, as quantised ones are, counts as those."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    parts = [] if flatten is None else [getattr(tensor, name) for name in flatten()[0]]
    inner = [part for part in parts if isinstance(part, Tensor)]  # one that is spread names its mesh too
    return sum(map(_held, inner)) if inner else int(tensor.numel() * tensor.element_size())
