"""A twin of a user's model: the same weights in modules of our own, which may compute in other ways."""

from __future__ import annotations

import copy
import threading
from collections.abc import Container, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from anydraft.models.few_rows import NOWHERE, DraftWeights, FewRows, FewRowsLinear, Quicker
from anydraft.models.lean import lean_of, near
from anydraft.models.memory import available_bytes
from anydraft.models.quicker import quicker

_PACKED = {torch.float32, torch.bfloat16}
"""What oneDNN's products with packed weights are made for."""
_ROOM = 4
"""Copies may take one part in so many of the memory that is free."""
_LEAST = 1_000_000
"""Weights of a draft that is worth a copy in bytes."""
IN_BYTES = 0.1
"""How far logits of such a copy may be from the model's own, as a share of the largest."""


class _Twin(NamedTuple):
    state: object
    """What it was made from: tensors, their versions, how."""
    model: Any
    """``None``: there is nothing better than the model."""


_twins: WeakKeyDictionary[nn.Module, dict[DraftWeights, _Twin]] = WeakKeyDictionary()
"""Of each model, by what their weights are."""
_lock = threading.Lock()


def twin_of(model: Any, weights: DraftWeights = "auto", *, drafts: bool = False) -> Any:
    """What computes as ``model`` does, sooner where that is possible; else ``model`` itself.

    The twin shares all weights and buffers with the model, which is not touched. Only a plain model has one.
    If its architecture is known its passes are lean (:mod:`anydraft.models.lean`). On a CPU, in float32 or
    bfloat16, linear layers take few rows at a time more quickly with oneDNN, which verifying a block needs,
    and much more quickly with a packed copy of their weights (see :data:`Weights`). A model that ``drafts``
    may get a copy in bytes instead, if its logits stay close to what they were.
    One twin serves a model for as long as it lives, and is made anew if the model's weights change.
    """
    if not _simple(model):
        return model
    twin = _twin(model, weights, drafts=drafts)[1]
    return model if twin is None else twin


def weights_of(model: Any, weights: DraftWeights = "auto", *, drafts: bool = False) -> DraftWeights:
    """Which weights :func:`twin_of` takes for the same arguments."""
    return _twin(model, weights, drafts=drafts)[0] if _simple(model) else "shared"


def _twin(model: nn.Module, weights: DraftWeights, *, drafts: bool) -> tuple[DraftWeights, Any]:
    ways = ways_of(next(model.parameters()))
    state = _state(model), ways
    with _lock:
        known = {kind: twin for kind, twin in _twins.get(model, {}).items() if twin.state == state}
        if weights == "auto":
            weights = _chosen(model, ways, known, drafts=drafts)
        if weights not in known:
            known[weights] = _Twin(state, _made(model, ways, weights))
        _twins[model] = known
        twin = known[weights].model
    if twin is None and weights == "int8":
        return _twin(model, "auto", drafts=False)
    return weights, twin


def _chosen(model: nn.Module, ways: Quicker, known: Container[DraftWeights], *, drafts: bool) -> DraftWeights:
    """What pays where there is room; what was chosen before, if it was."""
    matrices = [layer.weight for layer in _linear(model)]
    pays = drafts and ways.int8 and sum(matrix.numel() for matrix in matrices) >= _LEAST
    if pays and ("int8" in known or fits(matrices, 1)):
        return "int8"
    return "packed" if "packed" in known or fits(matrices) else "shared"


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


def fits(weights: Sequence[Tensor], size: int | None = None) -> bool:
    """Whether copies of them, of so many bytes a number or of as many as now, leave enough memory free."""
    room = available_bytes()
    needed = sum(weight.numel() * (size or weight.element_size()) for weight in weights)
    return room is not None and _ROOM * needed <= room


def _made(model: nn.Module, ways: Quicker, weights: DraftWeights) -> Any:
    if weights == "int8":
        return _in_bytes(model, ways)
    lean = lean_of(model, ways, weights)
    if lean is not None:
        return lean
    return module_twin(model, ways, weights) if ways.shared or ways.packed else None


def _in_bytes(model: nn.Module, ways: Quicker) -> Any:
    """With weights in bytes; ``None`` if the model's logits do not bear that."""
    lean = lean_of(model, ways, "int8", IN_BYTES)
    if lean is not None:
        return lean
    twin = module_twin(model, ways, "int8")
    return twin if near(model, twin, IN_BYTES) else None


def module_twin(model: nn.Module, ways: Quicker, weights: DraftWeights) -> nn.Module:
    """The same modules on the same weights, but for their linear layers."""
    twin = copy.deepcopy(model, {id(tensor): tensor for tensor in _tensors(model)})
    for layer in _linear(twin):
        layer.__class__ = FewRowsLinear
        vars(layer)["few"] = FewRows(layer.weight, layer.bias, ways, weights)
    return twin
