"""A widened copy of a real model: real text at the cost of a model of another shape.

Hidden and intermediate dimensions and attention heads are added whose weights are zero, so that they stay
zero through the whole model, while a pass reads and multiplies all of them. A norm divides by the mean square
over more numbers then: its weight and epsilon take the share of the real ones into account. The logits are
those of the original but for rounding. Where no larger real weights are at hand this gives a pair with a
large gap in the matrix shapes of a larger model; it is not a larger model's text, and that is said where
it is used.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from anydraft.errors import ModelError

SEVEN = {"hidden": 4096, "intermediate": 11008}
"""The width of Llama-2-7B."""


def widen(
    model: Any, hidden: int, intermediate: int, *, dtype: torch.dtype | None = None, device: Any = None
) -> Any:
    """A Llama of those widths with the outputs of ``model``, which is not touched.

    ``hidden``: of the residual stream; the attention gets as many heads of the same size as fit into it.
    ``dtype``, ``device``: of the copy, by default those of ``model``.

    Raises:
        ModelError: not a Llama, or one that is wider than that.
    """
    old = model.config
    if old.model_type != "llama" or hidden < old.hidden_size or intermediate < old.intermediate_size:
        raise ModelError(
            f"got a {old.model_type} of widths {old.hidden_size} and {old.intermediate_size}, to be widened "
            f"to {hidden} and {intermediate}; expected a Llama that is no wider"
        )
    size = getattr(old, "head_dim", None) or old.hidden_size // old.num_attention_heads
    group = old.num_attention_heads // old.num_key_value_heads
    groups = hidden // (size * group)
    config = copy.deepcopy(old)
    config.hidden_size, config.intermediate_size = hidden, intermediate
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = groups * group, groups, size
    share = old.hidden_size / hidden
    config.rms_norm_eps = old.rms_norm_eps * share
    dtype, device = dtype or model.dtype, device or model.device
    with torch.device("meta"):
        wide = type(model)(config)
    wide.to(dtype).to_empty(device=device)
    wide.tie_weights()
    with torch.no_grad():
        sources = dict(model.named_parameters())
        for name, parameter in wide.named_parameters():
            parameter.zero_()
            source = sources[name]
            part = tuple(slice(0, n) for n in source.shape)
            factor = math.sqrt(share) if name.endswith("norm.weight") else 1.0
            parameter[part] = (source.to(device) * factor).to(dtype)
    wide.model.rotary_emb = type(model.model.rotary_emb)(config=config).to(device)
    wide.generation_config = copy.deepcopy(model.generation_config)
    return wide.eval()
