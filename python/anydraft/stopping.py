"""When a decode ends."""

from __future__ import annotations

from dataclasses import dataclass

from anydraft.streaming import FinishReason


@dataclass(frozen=True)
class Stopping:
    """Ends a decode at an end token or at a length, whichever comes first."""

    end_ids: frozenset[int]
    max_new_tokens: int
    room: int | None
    """Tokens that fit into the target's window after the prompt; ``None`` if unlimited."""

    def left(self, emitted: int) -> int:
        """How many more tokens may be emitted."""
        limit = self.max_new_tokens if self.room is None else min(self.max_new_tokens, self.room)
        return limit - emitted

    def cut(self, new: list[int], emitted: int) -> tuple[list[int], FinishReason | None]:
        """The part of ``new`` that plain decoding would emit, and why it ends there if it does."""
        new = new[: self.left(emitted)]
        for i, token in enumerate(new):
            if token in self.end_ids:
                return new[: i + 1], "eos"
        if self.left(emitted + len(new)) > 0:
            return new, None
        return new, "length" if emitted + len(new) >= self.max_new_tokens else "window"
