"""One layer of a common decoder as a short list of tensor operations, on the model's own weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from anydraft.models.fast.cpu_linear import FusedLinear
from anydraft.models.fast.rotary import Rotation

_STACKED = 64
"""New tokens of a pass, up to which heads that share keys are stacked."""


class Surroundings(NamedTuple):
    """What all layers of a kind share in a pass."""

    rotation: Rotation
    mask: Tensor | None
    """Numbers to be added to the scores of all heads that share keys: :func:`stacked`."""
    causal: bool
    """The new tokens are all there is, and each sees those before it; there is no mask then."""


class Norm(NamedTuple):
    """A root mean square norm over the last dimension."""

    weight: Tensor
    """The storage of the model's own parameter, or what was made of some."""
    eps: float
    made_of: tuple[Tensor, ...]
    """The parameters."""

    def __call__(self, x: Tensor) -> Tensor:
        """``[..., size]``, in the dtype of ``x``; a weight in float32 stands for more digits than that."""
        if self.weight.dtype == x.dtype:
            return torch.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return torch.rms_norm(x.float(), self.weight.shape, self.weight, self.eps).to(x.dtype)


@dataclass(frozen=True)
class Block:
    """One decoder layer."""

    kind: str
    """Which rotary embedding it has."""
    window: int | None
    heads: int
    groups: int
    """Number of key and value heads."""
    scale: float
    before: Norm
    query_key_value: FusedLinear
    of_heads: Norm | None
    """Of queries and keys: its weight is ``[heads + groups, head size]``."""
    out: FusedLinear
    after: Norm | None
    before_inner: Norm
    gate_up: FusedLinear
    activation: Callable[[Tensor], Tensor]
    down: FusedLinear
    after_inner: Norm | None

    @property
    def copied(self) -> list[Tensor]:
        """The parameters that there is a copy of, and those of norms."""
        products = (self.query_key_value, self.out, self.gate_up, self.down)
        norms = (self.before, self.of_heads, self.after, self.before_inner, self.after_inner)
        copied = [tensor for part in products for tensor in part.copied]
        return copied + [tensor for norm in norms if norm is not None for tensor in norm.made_of]


def through(block: Block, hidden: Tensor, layer: Any, given: Surroundings) -> Tensor:
    """Hidden states ``[B, n, h]`` through one layer; ``hidden`` itself is written to."""
    rows, n, _ = hidden.shape
    heads, groups = block.heads, block.groups
    joined = block.query_key_value.whole(block.before(hidden)).view(rows, n, heads + 2 * groups, -1)
    turned = joined.narrow(2, 0, heads + groups)
    if block.of_heads is not None:
        weight = block.of_heads.weight
        wide = turned.to(weight.dtype)
        turned = (torch.rms_norm(wide, wide.shape[-1:], None, block.of_heads.eps) * weight).to(turned.dtype)
    cos, sin = given.rotation
    turned = (turned * cos).addcmul_(turned.roll(turned.shape[-1] // 2, -1), sin)
    query = turned.narrow(2, 0, heads)
    new = turned.narrow(2, heads, groups), joined.narrow(2, heads + groups, groups)
    keys, values = layer.update(*(states.transpose(1, 2) for states in new))
    (attended,) = block.out(_attended(query, keys, values, given, block.scale))
    hidden = hidden.add_(attended if block.after is None else block.after(attended))
    gate, up = block.gate_up(block.before_inner(hidden))
    (inner,) = block.down(block.activation(gate).mul_(up))
    return hidden.add_(inner if block.after_inner is None else block.after_inner(inner))


def _attended(query: Tensor, keys: Tensor, values: Tensor, given: Surroundings, scale: float) -> Tensor:
    """Queries ``[B, n, heads, size]`` and keys ``[B, groups, T, size]`` to ``[B, n, heads * size]``.

    In a short pass heads that share keys are rows of one product: keys are read once and never repeated.
    """
    rows, n, heads, size = query.shape
    groups = keys.shape[1]
    if given.causal or n > _STACKED:
        found = scaled_dot_product_attention(
            query.transpose(1, 2),
            keys,
            values,
            attn_mask=given.mask,
            is_causal=given.causal,
            scale=scale,
            enable_gqa=heads > groups,
        )
        return found.transpose(1, 2).reshape(rows, n, heads * size)
    share = heads // groups
    alike = query.view(rows, n, groups, share, size).permute(0, 2, 3, 1, 4)
    found = scaled_dot_product_attention(
        alike.reshape(rows, groups, share * n, size), keys, values, attn_mask=given.mask, scale=scale
    )
    found = found.view(rows, groups, share, n, size).permute(0, 3, 1, 2, 4)
    return found.reshape(rows, n, heads * size)


def stacked(block: Block, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask ``[n, T]`` or ``[B, 1, n, T]``, bool or numbers to be added, as :func:`_attended` takes it.

    Result: numbers to be added, for all heads that share keys, ``[share * n, T]`` or
    ``[B, 1, share * n, T]``; of a long text, where that would take much memory, the mask as it is.
    """
    n = mask.shape[-2]
    if n > _STACKED:
        return mask
    if mask.dtype == torch.bool:
        mask = torch.zeros((), dtype=dtype, device=mask.device).masked_fill(~mask, -torch.inf)
    return mask if n == 1 else mask.repeat(*[1] * (mask.dim() - 2), block.heads // block.groups, 1)
