"""What the target says without a draft."""

from __future__ import annotations

from typing import Any

import torch

from anydraft.proposers.registry import Method

METHODS: list[Method] = ["tli", "slem", "pushforward", "slrs", "auto"]


def alone(model: Any, ids: list[int], n: int, **options: Any) -> list[int]:
    """What the target says without a draft, as plain generate has it."""
    out = model.generate(torch.tensor([ids]), max_new_tokens=n, do_sample=False, **options)
    return out[0, len(ids) :].tolist()
