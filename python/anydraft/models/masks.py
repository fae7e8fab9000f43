"""Masks for a model's own attention: one, or one for each kind of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

MASKED = {"sdpa", "eager"}
"""Attention implementations that take a mask per sequence and token."""

_CHUNKED = "chunked_attention"
"""The kind of layers whose tokens see their own chunk of the text."""


class Layout(Protocol):
    """Where the tokens of a pass stand."""

    def mask(self, window: int | None, *, chunked: bool = False) -> Tensor:
        """bool ``[B, 1, n, keys]``: which keys a token sees, by a window in tokens.

        ``chunked``: those from the start of its own chunk of ``window`` tokens, not the last ``window``.
        """


def layer_masks(
    model: PreTrainedModel,
    windows: Sequence[int | None],
    layout: Layout,
    dtype: torch.dtype,
) -> Any:
    """What ``model`` takes for layers of these windows: a mask, or a mask by kind where it has several.

    ``dtype``: of numbers to be added to scores, which eager attention takes.
    """
    config: Any = model.config.get_text_config(decoder=True)
    kinds = list(getattr(config, "layer_types", None) or ())
    seen = [(window, i < len(kinds) and kinds[i] == _CHUNKED) for i, window in enumerate(windows)]
    made = {
        (window, chunked): _form(layout.mask(window, chunked=chunked), config._attn_implementation, dtype)
        for window, chunked in set(seen)
    }
    if len(made) == 1:
        return made[seen[0]]
    return {kind: made[key] for kind, key in zip(kinds, seen, strict=False)}


def _form(mask: Tensor, attention: str, dtype: torch.dtype) -> Tensor:
    """What the attention implementation reads: bool for SDPA, numbers to be added for eager."""
    if attention == "sdpa":
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)
