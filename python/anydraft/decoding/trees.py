"""Verifying a tree: the target's own token is drawn at its root, then where that token leads, and so on.

What is emitted are the target's own draws, each by its law after those before it. So the output has the
target's law for any tree that was fixed before the first of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from anydraft.sampling.laws import NAN, Randomness


def own_tokens(laws: Tensor, randomness: Randomness) -> Tensor:
    """The target's own token at the root and after each candidate, whichever of them is reached.

    Shapes: ``laws`` ``[k + 1, V]``; result int64 ``[k + 1]``, ``NAN`` where a law is.
    """
    return randomness.draw(laws).masked_fill(laws[:, 0].isnan(), NAN)


def walk(candidates: Sequence[int], parents: Sequence[int], own: Sequence[int]) -> tuple[list[int], int]:
    """Which candidates are accepted, one after the other, and the id after them.

    ``own``: the target's token after the root and after each candidate; ``NAN`` where its law is.
    """
    children = {(parent, token): i for i, (parent, token) in enumerate(zip(parents, candidates, strict=True))}
    path: list[int] = []
    place = 0
    while (place, own[place]) in children:
        path.append(children[place, own[place]])
        place = path[-1] + 1
    return path, own[place]


def depth_of(parents: Sequence[int]) -> int:
    """The length of the longest path."""
    depths = [0]
    for parent in parents:
        depths.append(depths[parent] + 1)
    return max(depths)
