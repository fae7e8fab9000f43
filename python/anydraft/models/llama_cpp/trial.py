"""Whether llama.cpp reads trees of a model's tokens as it reads lines: tried on a few tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from anydraft.errors import ModelError
from anydraft.models.llama_cpp.context import Context

_TRIED = 16
"""Tokens that a model is tried on."""

_ROUNDING, _LEAST = 4.0, 0.02
"""How far the logits may be off: so many times what they are when the same tokens are read one by one, or a
share of their spread."""


def reads_trees(context: Context) -> bool:
    """Try it in an empty context, which is empty afterwards.

    Two paths in one pass, and what follows the second, must have the logits that they have one by one, but
    for what rounding moves in passes of other sizes. A model with a recurrent state is not tried.
    """
    if not context.trees.spare or context.window <= _TRIED:
        return False
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(context.vocab_size, (_TRIED,), generator=chance)
    before, one, two, other, last = ids[:-4], ids[-4:-3], ids[-3:-2], ids[-2:-1], ids[-1:]

    def read(*parts: Tensor) -> Tensor:
        context.clear()
        return torch.cat([context.advance([0], [part], [len(part)])[0] for part in parts])

    try:
        first, second = read(torch.cat((before, one, two)))[-3:], read(torch.cat((before, other, last)))[-2:]
        singly = read(*(ids[i : i + 1] for i in [*range(_TRIED - 4), _TRIED - 2, _TRIED - 1]))[-2:]
        context.clear()
        context.advance([0], [before[:-1]], [1])
        found = context.trees.read(0, torch.cat((before[-1:], one, two, other)), [0, 1, 0])
        context.trees.prune(0, len(before), [2])
        after = context.advance([0], [torch.cat((before, other, last))[context.lengths[0] :]], [1])[0]
    except ModelError:
        return False
    finally:
        context.clear()
    least = _ROUNDING * off(singly, second) + _LEAST
    return off(torch.cat((found, after)), torch.cat((first, second))) <= least


def off(found: Tensor, expected: Tensor) -> float:
    """How far logits ``[n, V]`` are from others, as a share of the spread of those, in the worst row."""
    apart = (found.double() - expected.double()).square().mean(-1).sqrt()
    return float((apart / expected.double().std(-1)).max())
