"""The text of one decode, looked up in itself and in what was seen before."""

from __future__ import annotations

from typing import NamedTuple

from anydraft import _core
from anydraft.memory.memory import Memory


class Continuation(NamedTuple):
    """Bytes that may follow, and what speaks for them."""

    data: bytes
    """What followed somewhere; it may end within a code point."""
    length: int
    """Bytes in common before it, from 8 to 64: the most of all places where it followed."""
    places: int
    """In how many of the places that were looked at it followed."""


class Lookup:
    """A text that only grows, and how it may go on by what was said before.

    :meth:`push` costs what is new, :meth:`continuations` does not depend on the length of the text. A text
    takes 7 to 14 bytes of memory for each of its bytes.
    """

    def __init__(self, text: bytes = b"", memory: Memory | None = None) -> None:
        """Start with ``text``; ``memory`` is looked up in too."""
        self._text = _core.Text(text)
        self._memory = memory

    def __len__(self) -> int:
        """Bytes of text."""
        return len(self._text)

    def push(self, data: bytes) -> None:
        """Append bytes."""
        self._text.push(data)

    def continuations(self, wanted: int, most: int = 1) -> list[Continuation]:
        """What may follow, ``wanted`` bytes of each where there are so many; the ``most`` likeliest first.

        Of up to 32 places in the text and as many in the memory, those with most bytes in common before them
        go before others, and of equal ones the text's own. Of several as long the latest is first, and then
        what followed in more places. Past the end of the text a run repeats itself.
        """
        memory = None if self._memory is None else self._memory._core
        return [Continuation(*found) for found in self._text.continuations(wanted, most, memory)]
