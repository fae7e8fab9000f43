"""A deepened copy of a real model: real text at the cost of a bigger model.

Layers are added whose two output projections are zero, so that each adds exactly nothing to the residual
stream: the logits are bit for bit those of the original, while a pass reads and multiplies all the added
weights. Where no larger real weights are at hand, this gives a pair with a large gap; it is not a larger
model's text, and wherever it is used that is said.

The other weights of an added layer are those of an original layer (shared, so that they take no memory twice;
each pass still reads them again, because a whole model does not fit into the processor's caches).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from anydraft.errors import ModelError


def deepen(model: Any, times: int) -> Any:
    """A model of ``times`` as many layers as ``model`` with the same outputs; ``model`` is not touched."""
    config = copy.deepcopy(model.config)
    memo: dict[int, Any] = {id(p): p for p in model.parameters()}
    memo |= {id(b): b for b in model.buffers()}
    memo[id(model.config)] = config
    deep = copy.deepcopy(model, memo)
    layers = deep.base_model.layers
    originals, count = list(layers), len(layers)
    for i in range(count, times * count):
        source = originals[i % count]
        layer = copy.deepcopy(source, {id(p): p for p in source.parameters()} | {id(config): config})
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            owner = layer.get_submodule(name.split(".")[0])
            old = layer.get_submodule(name)
            zero = nn.Linear(old.in_features, old.out_features, bias=False, dtype=old.weight.dtype)
            zero.weight = nn.Parameter(torch.zeros_like(old.weight), requires_grad=False)
            setattr(owner, name.split(".")[1], zero)
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = i
        layers.append(layer)
    config.num_hidden_layers = times * count
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i % count] for i in range(times * count)]
    return deep.eval()


@torch.no_grad()
def check_identical(model: Any, deep: Any) -> None:
    """Raise :class:`ModelError` if the two do not compute the same logits, bit for bit."""
    ids = torch.arange(3, 19)[None]
    if not torch.equal(model(input_ids=ids).logits, deep(input_ids=ids).logits):
        raise ModelError(
            "got a deepened model with other logits than the original; expected the same, bit for bit. "
            "Is it a model of Llama's or Gemma's kind?"
        )
