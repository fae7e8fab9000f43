"""From the device to the host: several answers in one transfer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_host(answers: Sequence[Tensor]) -> list[list[int]]:
    """Each of the int64 tensors ``[n_i]`` as a list; the device is waited for once."""
    everything: list[int] = torch.cat(list(answers)).tolist()
    lists, start = [], 0
    for answer in answers:
        lists.append(everything[start : start + len(answer)])
        start += len(answer)
    return lists
