"""Whether llama.cpp reads trees of a model's tokens as it reads lines: tried on a few tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anydraft.models.llama_cpp.context import Context

WINDOW = 64
"""Tokens of a context that is large enough to try it in."""

_BEFORE = 11
"""Tokens of the text that a model is tried on; two paths of three tokens follow it."""

_PARENTS = (0, 1, 0, 3, 4, 2)
_LINE, _BESIDE = (0, 1, 5), (2, 3, 4)
"""The tree, and its paths. The line ends last, so it is the second one, and not all of it can be kept."""

_ROUNDING, _LEAST, _OTHER = 4.0, 0.02, 0.5
"""How far the logits may be off: so many times what they are when the same tokens are read one by one, and a
share of their spread; but no further than half of the way to those behind another path."""


def reads_trees(context: Context) -> bool:
    """Try it in an empty context, which is empty afterwards.

    Two paths in one pass, and what follows each of them once it was kept, must have the logits that they have
    one by one, but for what rounding moves in passes of other sizes. A model with a recurrent state is not
    tried.

    Raises:
        ModelError: llama.cpp failed, so that it is not known.
    """
    if not context.trees.spare or context.window < _BEFORE + len(_PARENTS):
        return False
    try:
        return fault(context) <= 1
    finally:
        context.clear()


def fault(context: Context) -> float:
    """How far the worst logits of a tree are off, as a share of what is allowed."""
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(context.vocab_size, (_BEFORE + len(_PARENTS) + 1,), generator=chance)
    before, tree, last = ids[:_BEFORE], ids[_BEFORE:-1], ids[-1:]
    texts = {path: torch.cat((before, tree[list(path)], last)) for path in (_LINE, _BESIDE)}

    def read(*parts: Tensor) -> Tensor:
        """Logits of a text from the last token of ``before`` on."""
        context.clear()
        return torch.cat([context.advance([0], [part], [len(part)])[0] for part in parts])[_BEFORE - 1 :]

    lines = {path: read(text) for path, text in texts.items()}
    singly = {path: read(*torch.split(text, 1)) for path, text in texts.items()}
    of_tree = torch.cat((lines[_LINE][:1], *(lines[path][1:-1] for path in lines)))
    places = [0, *(1 + token for path in lines for token in path)]
    apart = 0.0
    for path, text in texts.items():
        context.clear()
        context.advance([0], [before[:-1]], [1])
        found = context.trees.read(0, torch.cat((before[-1:], tree)), _PARENTS)
        context.trees.prune(0, _BEFORE, path)
        fed = text[context.lengths[0] :]
        after = context.advance([0], [fed], [len(fed)])[0][-len(lines[path]) :]
        apart = max(apart, off(found[places], of_tree), off(after, lines[path][-len(after) :]))
    moved = max(off(singly[path], lines[path]) for path in lines)
    other = off(lines[_BESIDE][-1:], lines[_LINE][-1:])
    allowed = min(_ROUNDING * moved + _LEAST, _OTHER * other)
    return apart / allowed if allowed > 0 else math.inf  # nothing tells one path from another


def off(found: Tensor, expected: Tensor) -> float:
    """How far logits ``[n, V]`` are from others, as a share of the spread of those, in the worst row."""
    apart = (found.double() - expected.double()).square().mean(-1).sqrt()
    return float((apart / expected.double().std(-1)).max())
