"""Going on in a tree behind the verdict on its line.

A line of candidates is verified as ever: so many are accepted, and the token after them is drawn, recovered
or a bonus. If the tree has that token there, the target has read it: its own token after it is drawn too, and
so on, each by the target's law after those before it. So the output keeps the target's law for any tree that
was fixed before the first of these draws, whatever the rule for the line.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from anydraft.sampling.laws import NAN, Randomness


def own_tokens(laws: Tensor, randomness: Randomness) -> Tensor:
    """The target's own token at some places, whichever of them are reached.

    Shapes: ``laws`` ``[m, V]``; result int64 ``[m]``, ``NAN`` where a law is.
    """
    return randomness.draw(laws).masked_fill(laws[:, 0].isnan(), NAN)


def walk(
    candidates: Sequence[int], parents: Sequence[int], accepted: int, following: int, own: Sequence[int]
) -> tuple[list[int], int]:
    """Which candidates hold, one after the other, and the id after them.

    The line comes first: ``accepted`` of it hold, with ``following`` after them. ``own``: behind each
    candidate that is not of the line the target's own token, ``NAN`` where its law is.
    """
    line = len(candidates) - len(own)
    children = {(parent, token): i for i, (parent, token) in enumerate(zip(parents, candidates, strict=True))}
    path = list(range(accepted))
    place = accepted
    while (place, following) in children and (at := children[place, following]) >= line:
        path.append(at)
        place, following = at + 1, own[at - line]
    return path, following


def depth_of(parents: Sequence[int]) -> int:
    """The length of the longest path."""
    depths = [0]
    for parent in parents:
        depths.append(depths[parent] + 1)
    return max(depths)
