"""When a decode ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from anydraft.decoding.events import FinishReason


class Prefix(NamedTuple):
    """All committed ids so far."""

    ids: Tensor
    """int64 ``[n]`` on the target's device."""
    tail: Callable[[int], list[int]]
    """The last so many of them (fewer, if there are no more), from the host: the device is not asked."""


StopRule = Callable[[Prefix], "FinishReason | None"]
"""From all committed ids so far to why the decode ends after the last; ``None``: it goes on.

Called once for every emitted token, in order, as plain decoding would."""


@dataclass(frozen=True)
class Stopping:
    """Ends a decode at an end token, at a length, or where a rule says so, whichever comes first."""

    end_ids: frozenset[int]
    max_new_tokens: int
    room: int | None
    """Tokens that fit into the target's window after the prompt; ``None`` if unlimited."""
    rules: tuple[StopRule, ...] = ()

    def left(self, emitted: int) -> int:
        """How many more tokens may be emitted."""
        limit = self.max_new_tokens if self.room is None else min(self.max_new_tokens, self.room)
        return limit - emitted

    def cut(self, new: list[int], emitted: int) -> tuple[list[int], FinishReason | None]:
        """The part of ``new`` that plain decoding would emit, and why it ends there if it does."""
        left = self.left(emitted)
        new = new[:left]
        for i, token in enumerate(new):
            if token in self.end_ids:
                return new[: i + 1], "eos"
        if len(new) < left:
            return new, None
        return new, "length" if emitted + len(new) >= self.max_new_tokens else "window"

    def ask(self, prefix: Prefix) -> FinishReason | None:
        """What the rules say after the last id of ``prefix``; all are asked, and the first reason counts."""
        reasons = [rule(prefix) for rule in self.rules]
        return next((reason for reason in reasons if reason), None)
