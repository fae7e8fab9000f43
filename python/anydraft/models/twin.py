"""A twin of a user's model: the same weights in modules of our own, which may compute in other ways."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from anydraft.models.few_rows import NOWHERE, FewRows, FewRowsLinear, Quicker, Weights, quicker
from anydraft.models.lean import lean_of
from anydraft.models.memory import available_bytes

_PACKED = {torch.float32, torch.bfloat16}
"""What oneDNN's products with packed weights are made for."""
_ROOM = 4
"""Packed copies may take one part in so many of the memory that is free."""


class _Twin(NamedTuple):
    state: object
    """What it was made from: tensors, their versions, how."""
    model: Any
    """``None``: there is nothing better than the model."""


_twins: WeakKeyDictionary[nn.Module, _Twin] = WeakKeyDictionary()
_lock = threading.Lock()


def twin_of(model: Any, weights: Weights = "auto") -> Any:
    """What computes as ``model`` does, sooner where that is possible; else ``model`` itself.

    The twin shares all weights and buffers with the model, which is not touched. Only a plain model has one.
    If its architecture is known its passes are lean (:mod:`anydraft.models.lean`). On a CPU, in float32 or
    bfloat16, linear layers take few rows at a time more quickly with oneDNN, which verifying a block needs,
    and much more quickly with a packed copy of their weights (see :data:`Weights`).
    One twin serves a model for as long as it lives, and is made anew if the model's weights change.
    """
    if not _simple(model):
        return model
    ways = ways_of(next(model.parameters()))
    with _lock:
        known = _twins.get(model)
        if weights == "auto":
            packs = known is not None and known.state == (_state(model), ways, "packed")
            weights = "packed" if packs or fits([layer.weight for layer in _linear(model)]) else "shared"
        state = _state(model), ways, weights
        if known is None or known.state != state:
            _twins.pop(model, None)
            known = _twins[model] = _Twin(state, _made(model, ways, weights))
        return model if known.model is None else known.model


def ways_of(weight: Tensor) -> Quicker:
    """The numbers of rows for which oneDNN is quicker with matrices like this one."""
    on_cpu = weight.device.type == "cpu" and weight.dtype in _PACKED
    return quicker(weight.dtype, torch.get_num_threads()) if on_cpu else NOWHERE


def _simple(model: Any) -> bool:
    """Whether the model is nothing but its modules: not compiled, hooked, quantised or spread out."""
    if not isinstance(model, nn.Module) or hasattr(model, "_orig_mod") or hasattr(model, "peft_config"):
        return False
    if getattr(model, "_tp_size", None) or getattr(model, "hf_quantizer", None):
        return False
    kinds = {(tensor.device.type, tensor.dtype) for tensor in model.parameters()}
    if len(kinds) != 1 or not all(dtype.is_floating_point for _, dtype in kinds):
        return False
    return not any(
        "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks
        for module in model.modules()
    )


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _state(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """Which tensors a model has, and how often each was written to."""
    return tuple((id(t), 0 if t.is_inference() else t._version) for t in _tensors(model))


def _linear(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if type(module) is nn.Linear]


def fits(weights: Sequence[Tensor]) -> bool:
    """Whether packed copies of them leave enough memory free."""
    room = available_bytes()
    return (
        room is not None and _ROOM * sum(weight.numel() * weight.element_size() for weight in weights) <= room
    )


def _made(model: nn.Module, ways: Quicker, weights: Weights) -> Any:
    lean = lean_of(model, ways, weights)
    if lean is not None:
        return lean
    return module_twin(model, ways, weights) if ways.shared or ways.packed else None


def module_twin(model: nn.Module, ways: Quicker, weights: Weights) -> nn.Module:
    """The same modules on the same weights, but for their linear layers."""
    twin = copy.deepcopy(model, {id(tensor): tensor for tensor in _tensors(model)})
    for layer in _linear(twin):
        layer.__class__ = FewRowsLinear
        vars(layer)["few"] = FewRows(layer.weight, layer.bias, ways, weights)
    return twin
