"""Cuts of a law, as the draft of a test may make them."""

from __future__ import annotations

import torch
from torch import Tensor

from anydraft.sampling.laws import renormalise


def keep_top_k(law: Tensor, k: int) -> Tensor:
    """Keep the ``k`` most probable entries (and all that tie with the last), renormalised."""
    if k >= law.shape[-1]:
        return law
    return renormalise(law.masked_fill(law < law.topk(k, -1).values[..., -1:], 0.0))


def keep_top_p(law: Tensor, p: float) -> Tensor:
    """Keep the most probable entries up to total mass ``p`` (and all that tie with the last), renormalised.

    The cut is found by bisecting the value of the smallest entry kept: 31 masked sums in place of a sort.
    """
    if p >= 1:
        return law
    low, high = torch.zeros_like(law[..., :1]), law.amax(-1, keepdim=True)  # mass(>= low) >= p, always
    for _ in range(31):
        middle = (low + high) / 2
        enough = law.masked_fill(law < middle, 0.0).sum(-1, keepdim=True) >= p
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return renormalise(law.masked_fill(law < low, 0.0))


def keep_min_p(law: Tensor, p: float) -> Tensor:
    """Keep the entries of at least ``p`` times the largest probability, renormalised."""
    return renormalise(law.masked_fill(law < p * law.amax(-1, keepdim=True), 0.0))
