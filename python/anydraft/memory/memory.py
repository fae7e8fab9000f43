"""Texts that were seen, for later ones to be looked up in: bounded, and shared by threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from anydraft import _core
from anydraft.bridge.text import utf8
from anydraft.errors import ArgumentError
from anydraft.memory.file import MemoryFile

DEFAULT_BYTES = 16 << 20
"""Of text; all of it takes about seven times as much memory."""

LEAST_BYTES, MOST_BYTES = 1 << 10, 1 << 30

_Bytes: TypeAlias = bytes  # inside a class with a property `bytes` the name means the property


class Memory:
    """Texts that were seen. What a decode says next is often in them, and is then proposed from them.

    Give one to :class:`anydraft.Speculator` as ``memory``: prompts and what was said after them are added as
    decodes end. What the models say stays what they say without one. It holds users' texts: share it only
    among those who may see each other's. When it is full the oldest bytes are forgotten. Threads may share
    it, and speculators with other models and tokenizers, because it is made of bytes.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        """An empty one for ``max_bytes`` of text, as UTF-8; when full it takes about seven times as much.

        Raises:
            ArgumentError: fewer than 1,024 bytes, or more than 2^30.
        """
        if not isinstance(max_bytes, int) or not LEAST_BYTES <= max_bytes <= MOST_BYTES:
            raise ArgumentError(
                f"got max_bytes={max_bytes!r}; expected a whole number from {LEAST_BYTES} to {MOST_BYTES}"
            )
        self.max_bytes = max_bytes
        self._core = _core.Memory(max_bytes)

    def __len__(self) -> int:
        """Number of texts, of which the oldest may have lost its beginning."""
        return len(self._core)

    def __bool__(self) -> bool:
        """An empty memory is one too."""
        return True

    @property
    def bytes(self) -> int:
        """Bytes of text."""
        return self._core.size()

    def add(self, text: str | _Bytes) -> None:
        """Remember a text. A beginning that it shares with an earlier one is kept once.

        Not one that was sampled with a memory of another process from a seed that is used here too: a sample
        must not be looked up where it is drawn again.

        Raises:
            ArgumentError: no text, or one with a lone surrogate.
        """
        if not isinstance(text, (str, _Bytes)):
            raise ArgumentError(f"got a {type(text).__name__} to remember; expected a text, or its bytes")
        data = utf8(text, "a text to remember") if isinstance(text, str) else text
        self._core.add(data)

    def number_decode(self) -> int:
        """A number that no other decode with this memory has, in this process or before it was saved."""
        return self._core.number_decode()

    def clear(self) -> None:
        """Forget all texts."""
        self._core.clear()

    def save(self, path: str | Path) -> None:
        """Write all texts to a file that only its owner may read; it appears whole or not at all.

        Raises:
            MemoryFileError: it cannot be written there.
        """
        documents = self._core.documents()  # first: a decode that ends meanwhile has its number counted
        MemoryFile(self.max_bytes, self._core.decodes(), documents).write(Path(path))

    @classmethod
    def load(cls, path: str | Path, max_bytes: int | None = None) -> Memory:
        """Read what :meth:`save` wrote. ``max_bytes``: as for a new one; by default that of the one saved.

        Raises:
            MemoryFileError: no such file, one of another version, or a damaged one.
            ArgumentError: ``max_bytes`` outside its domain.
        """
        file = MemoryFile.read(Path(path), LEAST_BYTES, MOST_BYTES)
        return _restored(file.max_bytes if max_bytes is None else max_bytes, file.decodes, file.documents)

    def read(self, path: str | Path) -> None:
        """Add the texts of a file that :meth:`save` wrote; errors as for :meth:`load`."""
        file = MemoryFile.read(Path(path), LEAST_BYTES, MOST_BYTES)
        self._core.restore(file.decodes, file.documents)

    def __reduce__(self) -> tuple[Any, ...]:
        """With all texts, as a copy."""
        documents = self._core.documents()
        return _restored, (self.max_bytes, self._core.decodes(), documents)


def _restored(max_bytes: int, decodes: int, documents: list[bytes]) -> Memory:
    made = Memory(max_bytes)
    made._core.restore(decodes, documents)
    return made


MemoryChoice: TypeAlias = Memory | Literal["process", "off"]
"""``"process"``: the one of this process; ``"off"``: nothing is remembered, or looked up but in the text
itself; or a memory of one's own."""

PROCESS = Memory()
"""The memory of this process."""


def check_memory(wanted: object) -> None:
    """Raise :class:`ArgumentError` for what is no :data:`MemoryChoice`."""
    if not isinstance(wanted, Memory) and wanted not in ("process", "off"):
        raise ArgumentError(f"got memory={wanted!r}; expected 'process', 'off' or an anydraft.Memory")


def chosen(
    wanted: MemoryChoice, times: Literal["measured", "nominal"], kind: Literal["greedy", "sampling"]
) -> Memory | None:
    """The memory of a decode; ``None``: it has none.

    One that is directed by nominal times, or that samples, is to be the same wherever its seed, or torch's,
    is set again, whatever the process did before: it has one only if it was given one.
    """
    if isinstance(wanted, Memory):
        return wanted
    return PROCESS if wanted == "process" and times == "measured" and kind == "greedy" else None
