"""A stream without its stop string: what may become one is held back."""

from __future__ import annotations

from collections.abc import Sequence


class StopCut:
    """Text in pieces, up to where the first stop string begins."""

    def __init__(self, stops: Sequence[str]) -> None:
        """``stops``: none of them empty."""
        self._stops = stops
        self._held = ""
        self.found = False
        """Whether the text was cut."""

    def push(self, piece: str) -> str:
        """What can be shown after ``piece``: it is part of no stop string, whatever follows."""
        text = self._held + piece
        shown = len(text) - self._open(text)
        self._held = text[shown:]
        return text[:shown]

    def finish(self, piece: str) -> str:
        """The rest, with the last piece, up to a stop string if one is in it.

        A decode may end for another reason with the very token in which a stop string ends.
        """
        text, self._held = self._held + piece, ""
        starts = [start for stop in self._stops if (start := text.find(stop)) >= 0]
        self.found = bool(starts)
        return text[: min(starts, default=len(text))]

    def _open(self, text: str) -> int:
        """Length of the longest end of ``text`` with which a stop string begins."""
        longest = max(map(len, self._stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
