"""The memory of this process, kept in a file by a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anydraft.errors import MemoryFileError
from anydraft.memory.memory import PROCESS, MemoryChoice


def read(path: Path) -> None:
    """Have this process remember the texts of a file, which need not be there yet, and nothing else.

    Raises:
        MemoryFileError: what is there is no memory, or the folder is not there.
    """
    if not path.parent.is_dir():
        raise MemoryFileError(
            f"got --memory-file {path}, whose folder is not there; expected a file in one that is. Make it"
        )
    PROCESS.clear()
    if path.exists():
        PROCESS.read(path)


@contextmanager
def kept(path: Path | None) -> Iterator[MemoryChoice]:
    """As :func:`read`, and written back in the end; without a path nothing is read or written.

    What is yielded is for a speculator: who names a file has samples use it too.
    """
    if path is None:
        yield "process"
        return
    read(path)
    try:
        yield PROCESS
    except BaseException:
        with suppress(MemoryFileError):  # what went wrong first is what is told
            PROCESS.save(path)
        raise
    PROCESS.save(path)
