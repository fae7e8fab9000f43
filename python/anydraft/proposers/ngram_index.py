"""The committed text, indexed by its last bytes: where did this come up before, and how did it go on?"""

from __future__ import annotations

from typing import NamedTuple

KEY = 8
"""Shortest match, in bytes: one or two words. A shorter one is a coincidence more often than not."""

LOOKED_AT = 16
"""Earlier places that are compared, from the latest back."""

LONGEST = 64
"""Bytes compared: a longer match says nothing more."""

_MASK = (1 << 8 * KEY) - 1


class Match(NamedTuple):
    """An earlier place where the text read as it does at its end."""

    length: int
    """Bytes in common, from :data:`KEY` to :data:`LONGEST`."""
    position: int
    """Where the text went on, in bytes."""


class NgramIndex:
    """A text that only grows, with the places of every run of :data:`KEY` bytes.

    :meth:`push` costs what is new, :meth:`find` does not depend on the length of the text. The index takes
    about 150 bytes of memory for each byte of text.
    """

    def __init__(self, text: bytes = b"") -> None:
        """Start with ``text``."""
        self._text = bytearray()
        self._key = 0
        self._latest: dict[int, int] = {}  # key to where its latest run but the one at the end ends
        self._older: dict[int, int] = {}  # such a place to the one before it with the same key
        self.push(text)

    def __len__(self) -> int:
        """Bytes of text."""
        return len(self._text)

    def push(self, data: bytes) -> None:
        """Append bytes."""
        for byte in data:
            self._note()
            self._text.append(byte)
            self._key = (self._key << 8 | byte) & _MASK

    def _note(self) -> None:
        """Index the present end, which is about to be an earlier place."""
        end = len(self._text)
        if end < KEY:
            return
        older = self._latest.get(self._key)
        if older is not None:
            self._older[end] = older
        self._latest[self._key] = end

    def find(self) -> Match | None:
        """The earlier place with the most bytes in common, the latest of several, if there is one."""
        text, end = self._text, len(self._text)
        place = self._latest.get(self._key) if end >= KEY else None
        best: Match | None = None
        for _ in range(LOOKED_AT):
            if place is None or (best is not None and best.length == LONGEST):
                break
            length = KEY
            while length < min(LONGEST, place) and text[place - length - 1] == text[end - length - 1]:
                length += 1
            if best is None or length > best.length:
                best = Match(length, place)
            place = self._older.get(place)
        return best

    def following(self, position: int, length: int) -> bytes:
        """``length`` bytes as they followed ``position``; past the end of the text the run repeats itself."""
        run = bytes(self._text[position : position + length])
        while run and len(run) < length:
            run += run[: length - len(run)]
        return run
