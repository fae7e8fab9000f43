"""A twin of a user's model: the same weights in modules of our own, which may compute in other ways."""

from __future__ import annotations

import copy
import threading
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from anydraft.models.few_rows import FewRowsLinear, quicker_row_counts

_twins: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], nn.Module]] = WeakKeyDictionary()
_lock = threading.Lock()


def twin_of(model: Any) -> Any:
    """A model that computes what ``model`` does, sooner where that is possible; else ``model`` itself.

    The twin shares all weights and buffers with the model, takes no memory beside them, and the model is not
    touched. Only a plain model on a CPU in float32 has one: its linear layers read few rows at a time more
    quickly with oneDNN, which verifying a block needs. One twin serves a model for as long as it lives, and
    is made anew if the model's weights are replaced.
    """
    if not _simple(model):
        return model
    quicker = quicker_row_counts(torch.get_num_threads())
    if not quicker:
        return model
    weights = tuple(id(tensor) for tensor in (*model.parameters(), *model.buffers()))
    with _lock:
        known = _twins.get(model)
        if known is None or known[0] != weights:
            known = _twins[model] = weights, _made(model, quicker)
        return known[1]


def _simple(model: Any) -> bool:
    """Whether the model is nothing but its modules: not compiled, hooked, quantised or spread out."""
    if not isinstance(model, nn.Module) or hasattr(model, "_orig_mod") or hasattr(model, "peft_config"):
        return False
    if getattr(model, "_tp_size", None) or getattr(model, "hf_quantizer", None):
        return False
    if any(p.device.type != "cpu" or p.dtype != torch.float32 for p in model.parameters()):
        return False
    return not any(
        "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks
        for module in model.modules()
    )


def _made(model: nn.Module, quicker: frozenset[int]) -> nn.Module:
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    for module in twin.modules():
        if type(module) is nn.Linear:
            module.__class__ = FewRowsLinear
            vars(module)["quicker"] = quicker
    return twin
