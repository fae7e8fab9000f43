"""From a method's name to its strategy."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from anydraft.drafting.protocol import Strategy
from anydraft.drafting.string_level import StringLevel
from anydraft.drafting.token_level import TokenLevel
from anydraft.errors import ArgumentError
from anydraft.models.protocol import Model
from anydraft.tables import Tables, padded

Method = Literal["auto", "tli", "slem"]
"""``"auto"``: string-level exact match at temperature 0, token level when sampling."""


def check_method(method: str) -> None:
    """Raise :class:`ArgumentError` for an unknown name."""
    if method not in get_args(Method):
        raise ArgumentError(f"got method={method!r}; expected one of {', '.join(get_args(Method))}")


def strategy(method: Method, tables: Tables, target: Model, draft: Model, *, greedy: bool) -> Strategy:
    """The strategy of a method for this pair.

    Raises:
        PairError: token level, and no draft token has an image.
    """
    if method == "slem" or (method == "auto" and greedy):
        return StringLevel(_writable(tables, draft), draft_device=draft.device)
    table = torch.from_numpy(padded(tables.draft_to_target, draft.vocab_size))
    return TokenLevel(table, draft_device=draft.device, target_device=target.device)


def _writable(tables: Tables, draft: Model) -> Tensor:
    """bool ``[D]``: the draft ids whose text the target can write; padding is not."""
    lengths = torch.from_numpy(tables.expansion_offsets).diff()
    return torch.nn.functional.pad(lengths > 0, (0, draft.vocab_size - len(lengths)))
