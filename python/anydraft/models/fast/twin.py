"""A twin of a user's model: the same weights in modules of our own, which may compute in other ways."""

from __future__ import annotations

import copy
import operator
import threading
from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from anydraft.loading.memory import spare_bytes
from anydraft.models.base import Runner
from anydraft.models.fast.cpu_linear import NOWHERE, FewRows, FewRowsLinear, Quicker
from anydraft.models.fast.fingerprint import Fingerprint
from anydraft.models.fast.forward import lean_of
from anydraft.models.fast.proof import alike, near
from anydraft.models.fast.select import quicker
from anydraft.models.weights import DraftWeights

_PACKED = {torch.float32, torch.bfloat16}
"""What oneDNN's products with packed weights are made for."""
_LEAST = 1_000_000
"""Weights of a draft that is worth a copy in bytes."""
IN_BYTES = 0.1
"""How far logits of such a copy may be from the model's own, as a share of the largest."""


class _Twin(NamedTuple):
    model: Runner | None
    """``None``: there is nothing better than the model."""
    copied: Sequence[Fingerprint]
    """Of the weights that it has copies of."""


class _Parts(NamedTuple):
    inside: list[nn.Module | Tensor]
    """The modules within a model, and all tensors."""
    kind: tuple[torch.device, torch.dtype]
    """Of its parameters."""


class _Twins:
    """Those of one model, by what their weights are."""

    def __init__(self, parts: _Parts, ways: Quicker) -> None:
        self._parts, self.ways = parts, ways
        """What the model was, and how its matrices are multiplied, when they were made."""
        self.made: dict[DraftWeights, _Twin] = {}
        self.proven: set[DraftWeights] = set()
        """Which of them have been found to compute what the model does; weights do not matter for that."""

    def suit(self, parts: _Parts, ways: Quicker) -> bool:
        """Whether the model still has the same modules and tensors."""
        (ours, kind), (theirs, other) = self._parts, parts
        same = len(ours) == len(theirs) and all(map(operator.is_, ours, theirs))
        return same and kind == other and ways == self.ways


_twins: WeakKeyDictionary[nn.Module, _Twins] = WeakKeyDictionary()
_lock = threading.RLock()


def twin_of(model: nn.Module, weights: DraftWeights = "auto", *, drafts: bool = False) -> Runner:
    """What computes as ``model`` does, sooner where that is possible; else ``model`` itself.

    The twin shares all weights and buffers with the model, which is not touched. Only a plain model has one.
    If its architecture is known its passes are lean (:mod:`anydraft.models.fast.forward`). On a CPU, in
    float32 or bfloat16, linear layers take few rows at a time more quickly with oneDNN, which verifying a
    block needs, and much more quickly with a packed copy of their weights (see :data:`Weights`). A model that
    ``drafts`` may get a copy in bytes instead, if its logits stay close to what they were.
    One twin serves a model for as long as it lives. Here, where a decode begins, its copies are compared with
    the weights, and made anew if these have changed; see :class:`Fingerprint`, and :func:`forget`.
    """
    twin = _twin(model, weights, drafts=drafts)[1]
    return model if twin is None else twin


def weights_of(model: nn.Module, weights: DraftWeights = "auto", *, drafts: bool = False) -> DraftWeights:
    """Which weights :func:`twin_of` takes for the same arguments."""
    return _twin(model, weights, drafts=drafts)[0]


def forget(model: nn.Module) -> None:
    """Make all that was made of a model's weights anew when it is next needed."""
    plain = getattr(model, "_orig_mod", model)
    with _lock:
        _twins.pop(plain, None)


def _twin(model: nn.Module, weights: DraftWeights, *, drafts: bool) -> tuple[DraftWeights, Runner | None]:
    if weights == "model" or not isinstance(model, PreTrainedModel):
        return "model", None
    parts = _parts(model)
    if parts is None:
        return "model", None
    ways = ways_of(next(model.parameters()))
    with _lock:
        twins = _twins.get(model)
        if twins is None or not twins.suit(parts, ways):
            twins = _twins[model] = _Twins(parts, ways)
        weights = _chosen(model, twins, weights, drafts=drafts)
        twin = twins.made.get(weights)
        if twin is None or not all(copied.holds() for copied in twin.copied):
            twins.made.pop(weights, None)  # its memory first
            del twin
            twin = twins.made[weights] = _made(model, twins, weights)
    if twin.model is None and weights == "int8":
        return _twin(model, "auto", drafts=False)
    return weights, twin.model


def _chosen(model: nn.Module, twins: _Twins, weights: DraftWeights, *, drafts: bool) -> DraftWeights:
    """What was asked for, if this machine can; else what pays, where there is room or it is there already.

    Copies that this machine cannot make, or that would be quicker nowhere, are not made.
    """
    ways, known = twins.ways, twins.made
    if weights == "unpacked" or (weights == "packed" and ways.packed) or (weights == "int8" and ways.int8):
        return weights
    if weights == "packed":
        return "unpacked"
    matrices = [layer.weight for layer in _linear(model)]
    pays = drafts and ways.int8 and sum(matrix.numel() for matrix in matrices) >= _LEAST
    if weights == "auto" and pays and ("int8" in known or fits(matrices, 1)):
        return "int8"
    return "packed" if ways.packed and ("packed" in known or fits(matrices)) else "unpacked"


def ways_of(weight: Tensor) -> Quicker:
    """The numbers of rows for which oneDNN is quicker with matrices like this one."""
    on_cpu = weight.device.type == "cpu" and weight.dtype in _PACKED
    return quicker(weight.dtype, torch.get_num_threads()) if on_cpu else NOWHERE


def _parts(model: nn.Module) -> _Parts | None:
    """What a model is made of; ``None`` if it is more than its modules.

    That is one that is compiled, hooked, adapted, quantised or spread out, or in several dtypes. This runs
    wherever a decode begins, so it walks by itself: ``model.modules()`` takes several times as long.
    """
    if hasattr(model, "_orig_mod") or hasattr(model, "peft_config"):
        return None
    if getattr(model, "_tp_size", None) or getattr(model, "hf_quantizer", None):
        return None
    modules: list[nn.Module] = []
    parameters: list[Tensor] = []
    buffers: list[Tensor] = []
    waiting: list[nn.Module] = [model]
    while waiting:
        inside = vars(waiting.pop())
        if "forward" in inside or inside.get("_forward_hooks") or inside.get("_forward_pre_hooks"):
            return None
        children = [child for child in inside["_modules"].values() if child is not None]
        modules += children
        waiting += children
        parameters += [parameter for parameter in inside["_parameters"].values() if parameter is not None]
        buffers += inside["_buffers"].values()
    if any(type(parameter) is not nn.Parameter for parameter in parameters):
        return None
    kinds = {(tensor.device, tensor.dtype) for tensor in parameters}
    if len(kinds) != 1 or not all(dtype.is_floating_point for _, dtype in kinds):
        return None
    return _Parts([*modules, *parameters, *buffers], *kinds)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _linear(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.modules() if type(module) is nn.Linear]


def fits(weights: Sequence[Tensor], size: int | None = None) -> bool:
    """Whether copies of them, of so many bytes a number or of as many as now, leave enough memory free."""
    room = spare_bytes()
    needed = sum(weight.numel() * (size or weight.element_size()) for weight in weights)
    return room is not None and needed <= room


def _made(model: PreTrainedModel, twins: _Twins, weights: DraftWeights) -> _Twin:
    ways, close = twins.ways, IN_BYTES if weights == "int8" else None
    lean = lean_of(model, ways, weights, close, proven=weights in twins.proven)
    if lean is not None:
        twins.proven.add(weights)
        return _Twin(lean, lean.copied)
    if weights != "int8" and not ways.unpacked and not ways.packed:
        return _Twin(None, ())
    twin = module_twin(model, ways, weights)
    if twin is None or (weights == "int8" and not near(model, twin, IN_BYTES)):
        return _Twin(None, ())
    layers = [layer for layer in twin.modules() if isinstance(layer, FewRowsLinear)]
    return _Twin(twin, [Fingerprint(tensor for layer in layers for tensor in layer.few.copied)])


def module_twin(model: PreTrainedModel, ways: Quicker, weights: DraftWeights) -> PreTrainedModel | None:
    """The same modules on the same weights, but for their linear layers; ``None`` if they cannot be copied.

    Before these are exchanged, the copied modules must give the model's own numbers, bit for bit.
    """
    try:
        twin = copy.deepcopy(model, {id(tensor): tensor for tensor in _tensors(model)})
        if not alike(model, twin):
            return None
    except Exception:  # a model that cannot be tried runs itself, and says itself what is wrong
        return None
    for layer in _linear(twin):
        layer.__class__ = FewRowsLinear
        vars(layer)["few"] = FewRows(layer.weight, layer.bias, ways, weights)
    return twin
