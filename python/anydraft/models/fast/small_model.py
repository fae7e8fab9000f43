"""A small model made of the modules of a large one, to try what is said of it.

Every weight is drawn at random, so that each matters: biases that are zero, scales that are 1 and weights
that are small would hide what is lost.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

TOKENS = 61
"""Size of its vocabulary."""
_WINDOW = 8
"""Its sliding window, where the model's is longer: a text of any length is beyond it."""


def small_model(model: PreTrainedModel, layers: list[int]) -> PreTrainedModel:
    """``model`` with some of its layers and :data:`TOKENS` tokens; its dtype, device and settings."""
    decoder, device = model.model, next(model.parameters()).device
    draw = torch.Generator(device).manual_seed(2)
    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    config = memo[id(model.config)] = copy.deepcopy(model.config)
    kinds, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
    config.num_hidden_layers = len(layers)
    if kinds:
        config.layer_types = [kinds[i] for i in layers]
    if window is not None:
        config.sliding_window = min(window, _WINDOW)
    cap = getattr(config, "final_logit_softcapping", None) or 3.0
    spread = torch.logspace(-3, 0, TOKENS, device=device)[:, None]  # so that an epsilon matters
    for owner in (*(decoder.layers[i] for i in layers), decoder.norm):
        memo |= {id(weight): _drawn(weight, draw) for weight in owner.parameters()}
    memo[id(decoder.embed_tokens)] = _few_tokens(decoder.embed_tokens, draw, memo, spread)
    memo[id(model.lm_head)] = _few_tokens(model.lm_head, draw, memo, cap)
    chosen = nn.ModuleList(copy.deepcopy(decoder.layers[i], memo) for i in layers)
    for i, layer in enumerate(chosen):
        parts: Any = layer.modules()
        for part in parts:
            if hasattr(part, "layer_idx"):
                part.layer_idx = i
            if getattr(part, "sliding_window", None) is not None:
                part.sliding_window = config.sliding_window
    memo[id(decoder.layers)] = chosen
    return copy.deepcopy(model, memo)


def _few_tokens(part: nn.Module, draw: torch.Generator, memo: dict[int, Any], scale: Any) -> Any:
    """An embedding or a head with the first tokens of ``part`` only; not tied to anything."""
    own = {id(weight): _drawn(weight[:TOKENS], draw, scale) for weight in part.parameters()}
    made: Any = copy.deepcopy(part, {**memo, **own})
    for name in ("num_embeddings", "out_features"):
        if hasattr(made, name):
            setattr(made, name, TOKENS)
    if hasattr(made, "padding_idx"):
        made.padding_idx = None
    return made


def _drawn(weight: Tensor, draw: torch.Generator, scale: Any = 1.0) -> nn.Parameter:
    """Of a matrix: products with rows of length 1 a number are of that length; of a vector: around 1."""
    numbers = torch.empty(weight.shape, device=weight.device).uniform_(generator=draw)
    if weight.dim() == 2:
        numbers = (2 * numbers - 1) * (3 / weight.shape[1]) ** 0.5
    else:
        numbers += 0.5
    return nn.Parameter((numbers * scale).to(weight.dtype), requires_grad=False)
