"""A text cut into tokens, and what two cuts of the same text have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anydraft import common_boundaries


@dataclass(frozen=True)
class Segmentation:
    """Tokens of a text with the bytes that each covers; all int64 ``[n]``."""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids)

    @property
    def keys(self) -> NDArray[np.int64]:
        """``[n]``: one number for each span of bytes; two tokens of one text are equal if these are."""
        return span_keys(self.starts, self.ends)

    @property
    def covered(self) -> int:
        """How many bytes of the text its tokens write."""
        return int((self.ends - self.starts).sum())


@dataclass(frozen=True)
class Block:
    """What lies between two common boundaries: the tokens of both sides that write it."""

    target: range
    draft: range
    common: bool = True
    """Whether it ends at a common boundary; the last one may not."""


def span_keys(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for every span of bytes (of texts below 2 GiB)."""
    return (starts << 32) | ends


def common_blocks(target: Segmentation, draft: Segmentation) -> list[Block]:
    """The text cut wherever both sides have a token boundary; what is left of either side comes last."""
    blocks, left, right = [], 0, 0
    for _, i, j in common_boundaries(target.ends.tolist(), draft.ends.tolist()):
        blocks.append(Block(range(left, i), range(right, j)))
        left, right = i, j
    if left < len(target) or right < len(draft):
        blocks.append(Block(range(left, len(target)), range(right, len(draft)), common=False))
    return blocks
