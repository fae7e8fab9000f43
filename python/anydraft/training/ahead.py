"""Lessons for a draft that looks ahead: groups of masks beside a text, which see it up to one place each.

A group stands for what a draft reads when it drafts behind that place: the text before, then its masks, at
the positions that follow. Groups do not see each other, so that many are learnt in one pass, with the text.

Source: An et al. 2025 (arXiv 2504.18583, PARD), which drops tokens at random where here places are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from anydraft.training.batches import Batch

SHARE = 0.75
"""Masks that are learnt in a step for each place of the text that is."""


class MaskedBatch(NamedTuple):
    """Lessons with masks behind them."""

    batch: Batch
    """Ids, and what is wanted at each of them: the texts, then the masks."""
    positions: Tensor
    """int64 ``[B, n + m]``: those of a group follow its place in the text."""
    seen: Tensor
    """bool ``[B, 1, n + m, n + m]``: which tokens each token sees."""


def masked(batch: Batch, masks: Sequence[int], chance: torch.Generator) -> MaskedBatch:
    """A batch with groups of ``masks`` behind random places of its texts; ``chance`` says which, on the CPU.

    Mask ``j`` of a group behind place ``i`` is to learn what is wanted at place ``i + j``. The draft may
    begin behind any place whose next token is learnt.
    """
    rows, n = batch.ids.shape
    deep = len(masks)
    taught = batch.weights.sum(-1) > 0
    places = _places(taught, deep, chance)
    count = places.shape[1]
    depth = torch.arange(1, deep + 1)
    at = (places[..., None] + depth).reshape(rows, count * deep)
    known = at.clamp(max=n - 1)
    rows_at = torch.arange(rows)[:, None]
    weights = batch.weights[rows_at, known] * (at < n)[..., None]
    whole = Batch(
        torch.cat((batch.ids, torch.tensor(masks).repeat(count).expand(rows, -1)), 1),
        torch.cat((batch.wanted, batch.wanted[rows_at, known]), 1),
        torch.cat((batch.weights, weights), 1),
    )
    steps = torch.arange(n)
    seen = torch.zeros(rows, n + count * deep, n + count * deep, dtype=torch.bool)
    seen[:, :n, :n] = steps <= steps[:, None]
    seen[:, n:, :n] = steps <= places.repeat_interleave(deep, 1)[..., None]
    group = torch.arange(count * deep)
    seen[:, n:, n:] = (group // deep == group[:, None] // deep) & (group <= group[:, None])
    return MaskedBatch(whole, torch.cat((steps.expand(rows, -1), at), 1), seen[:, None])


def _places(taught: Tensor, deep: int, chance: torch.Generator) -> Tensor:
    """int64 ``[B, count]``: places behind which groups stand, of those ``taught``, bool ``[B, n]``.

    So many that there are :data:`SHARE` masks for each of the longest text's; another has some of its twice.
    """
    most = int(taught.sum(-1).amax())
    count = max(1, round(SHARE * most / deep))
    return torch.multinomial(taught.float(), count, replacement=True, generator=chance).sort(-1).values
