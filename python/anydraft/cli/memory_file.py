"""The memory that a command keeps in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anydraft.errors import MemoryFileError
from anydraft.memory.memory import Memory, MemoryChoice


def opened(path: Path) -> Memory:
    """The memory of a file, which need not be there yet.

    Raises:
        MemoryFileError: what is there is no memory, or the folder is not there.
    """
    if not path.parent.is_dir():
        raise MemoryFileError(
            f"got --memory-file {path}, whose folder is not there; expected a file in one that is. Make it"
        )
    return Memory.load(path) if path.exists() else Memory()


@contextmanager
def kept(path: Path | None, otherwise: MemoryChoice) -> Iterator[MemoryChoice]:
    """As :func:`opened`, and written back in the end; without a file ``otherwise``."""
    if path is None:
        yield otherwise
        return
    memory = opened(path)
    try:
        yield memory
    finally:
        memory.save(path)
