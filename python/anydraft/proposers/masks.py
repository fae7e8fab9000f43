"""Which tokens a draft may read in place of tokens not known yet."""

from __future__ import annotations

from collections.abc import Sequence

from anydraft.bridge.bridge import Bridge
from anydraft.errors import ModelError
from anydraft.models.base import MASKS


def check_masks(masks: Sequence[int], bridge: Bridge) -> None:
    """Raise :class:`ModelError` for masks that could also be drafted; see :mod:`anydraft.models.ahead`."""
    if not masks:
        return
    offsets = bridge.tables.expansion_offsets
    said = [mask for mask in masks if mask < len(bridge.draft) and offsets[mask + 1] > offsets[mask]]
    if said:
        raise ModelError(
            f"got a draft with {MASKS} of tokens {said}, which stand for text or an end; expected ids that "
            "its tokenizer does not use, or control tokens without a partner. Correct the entry of its "
            "configuration, or take it out"
        )
