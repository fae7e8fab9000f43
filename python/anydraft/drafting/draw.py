"""Drawing a block of draft tokens: the part all strategies share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anydraft.drafting.protocol import DraftContext
from anydraft.sampling import Randomness


@dataclass(frozen=True)
class Drawn:
    """Draft tokens and the laws they were drawn from, on the draft's device."""

    ids: Tensor
    """int64 ``[gamma]``."""
    laws: Tensor
    """``[gamma, D]``: exactly the law each id was drawn from; every row sums to 1."""


def draw_tokens(context: DraftContext, gamma: int, randomness: Randomness, allowed: Tensor) -> Drawn:
    """Draw ``gamma`` >= 1 tokens one after the other, without waiting for the device.

    ``allowed`` bool ``[D]``, on the draft's device and true at least once, says which tokens may be drawn;
    the model's columns beyond it are padding and never drawn. The last token is drawn, not fed to it.
    """
    ids, laws = [], []
    unfed = context.pending
    for _ in range(gamma):
        law = allowed_law(context, context.model.advance(unfed)[-1], allowed)
        unfed = randomness.draw(law).view(1)
        ids.append(unfed)
        laws.append(law)
    return Drawn(torch.cat(ids), torch.stack(laws))


def allowed_law(context: DraftContext, logits: Tensor, allowed: Tensor) -> Tensor:
    """The draft's processed law ``[D]`` of logits ``[vocab]``, over what is allowed (bool ``[D]``).

    What is not allowed is taken away before the processors, or a cut such as top-p might leave nothing else.
    """
    return restrict(context.law(logits[: len(allowed)].masked_fill(~allowed, -torch.inf)), allowed)


def restrict(law: Tensor, allowed: Tensor) -> Tensor:
    """The law ``[D]`` given that the token is allowed (bool ``[D]``).

    A law that is broken (NaN) or has no mass there becomes a point mass on the first allowed token. The
    output stays exact, because that is then the law drawn from; the target rejects it where it disagrees.
    """
    masked = law.masked_fill(~allowed, 0.0)
    total = masked.sum()
    certain = torch.zeros_like(masked).scatter_(0, allowed.byte().argmax().view(1), 1.0)
    return torch.where(total > 0, masked / total, certain)
