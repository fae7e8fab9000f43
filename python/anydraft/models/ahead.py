"""Laws of several next tokens from one pass of a model that has learnt it: parallel drafting.

Behind the text such a model reads *masks*, tokens that stand for tokens not known yet. The row of the text's
last token gives the law of the next token, as ever; the row of mask ``j`` gives the law of the token ``j``
places later, whatever stands between. So all these laws are laws given the text alone.

Which tokens these are, a model's configuration says: :func:`anydraft.models.loaded.masks_of`.

Source: An et al. 2025 (arXiv 2504.18583, PARD), where all masks are one token; here each may be its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from anydraft.models.base import LookingAhead, Model
from anydraft.models.joint import advance_together


def ahead_by(model: Model) -> Tensor:
    """int64 ``[m]`` on the model's device: what it reads to see ``m`` places further; empty if it cannot."""
    if isinstance(model, LookingAhead):
        return model.masks
    return torch.empty(0, dtype=torch.int64, device=model.device)


def look_ahead(models: Sequence[Model], ids: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """As :func:`~anydraft.models.joint.advance_together`, seeing as many places further as there are masks.

    Shapes of each: ``ids`` int64 ``[n]``, n >= 1; ``masks`` int64 ``[m]``, which may be empty; result
    ``[1 + m, vocab_size]``: the logits of the next token, and of each one after it. The masks are forgotten:
    only ``ids`` stay in the cache.
    """
    fed = [torch.cat(both) if len(both[1]) else both[0] for both in zip(ids, masks, strict=True)]
    logits = advance_together(models, fed, [1 + len(own) for own in masks])
    for model, own in zip(models, masks, strict=True):
        if len(own):
            model.crop(model.length - len(own))
    wanted = zip(logits, masks, strict=True)
    return [rows if len(rows) == 1 + len(own) else rows[-1 - len(own) :] for rows, own in wanted]
