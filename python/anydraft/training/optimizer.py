"""How weights are changed: matrices inside the layers by Muon, everything else by AdamW.

Muon (Jordan et al. 2024) takes the momentum of a matrix to the nearest orthogonal one, so that all directions
learn alike; a short training needs fewer steps with it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

RATE = 0.02
"""Of Muon; AdamW has a seventh of it."""


class Optimizer:
    """Both, with one schedule: a short rise, a plateau, and a straight way down to zero."""

    def __init__(self, model: nn.Module, steps: int, rate: float = RATE) -> None:
        """For ``steps`` steps."""
        named = dict(model.named_parameters())
        self.inner = [p for name, p in named.items() if p.dim() == 2 and ".layers." in name]
        known = {id(p) for p in self.inner}
        outer = [p for p in named.values() if id(p) not in known]
        self.steps, self.rate = steps, rate
        self.momenta = [torch.zeros_like(p) for p in self.inner]
        self.adam = torch.optim.AdamW(outer, lr=rate / 7, betas=(0.9, 0.98), weight_decay=0.0)

    def share(self, step: int) -> float:
        """Of the full rate, at a step."""
        rise = max(1, min(100, self.steps // 20))
        fall = max(1, int(self.steps * 0.6))
        return min((step + 1) / rise, 1.0, max((self.steps - step) / fall, 0.0))

    @torch.no_grad()
    def step(self, step: int) -> None:
        """One step with the gradients that are there; they are gone afterwards."""
        share = self.share(step)
        for group in self.adam.param_groups:
            group["lr"] = share * self.rate / 7
        self.adam.step()
        for weight, momentum in zip(self.inner, self.momenta, strict=True):
            if weight.grad is None:
                continue
            momentum.lerp_(weight.grad, 0.05)
            change = orthogonal(weight.grad.lerp(momentum, 0.95))
            scale = math.sqrt(max(1.0, weight.shape[0] / weight.shape[1]))
            weight.mul_(1 - share * self.rate * 0.1)
            weight.add_(change, alpha=-share * self.rate * scale)
            weight.grad = None
        self.adam.zero_grad()

    def state(self) -> dict[str, Any]:
        """All that a later run needs."""
        return {"momenta": self.momenta, "adam": self.adam.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        for momentum, saved in zip(self.momenta, state["momenta"], strict=True):
            momentum.copy_(saved)
        self.adam.load_state_dict(state["adam"])


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """About the nearest orthogonal matrix, by a Newton-Schulz iteration, in bfloat16 where that is quick."""
    x = matrix.bfloat16() if quick_bfloat16(matrix.device.type) else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    found: Tensor = (x.T if tall else x).to(matrix.dtype)
    return found


def quick_bfloat16(device: str) -> bool:
    """Whether a kind of device computes in bfloat16 sooner than in float32."""
    if device != "cpu":
        return True
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known and known())
