"""The file of a saved memory: a header, the lengths of all documents, and their bytes."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from anydraft.errors import MemoryFileError

MAGIC = b"anydraft-memory-1\n"
"""Changes whenever what follows would be read otherwise."""

_NUMBERS = struct.Struct("<QQQQ")  # the most bytes of text, decodes so far, bytes of text, documents
_DIGEST = 32
_START = len(MAGIC) + _NUMBERS.size + _DIGEST
_LENGTH = struct.Struct("<I")
_SHORT = 8
"""A text of no more bytes is not kept; only the oldest may have been cut to less."""
_AGAIN = "Remove it, and save a memory again."


@dataclass(frozen=True)
class MemoryFile:
    """What is kept of a memory."""

    max_bytes: int
    decodes: int
    """How many there were with it: see :meth:`anydraft.Memory.number_decode`."""
    documents: list[bytes]

    def write(self, path: Path) -> None:
        """Write the file, for its owner alone; it appears whole or not at all.

        Raises:
            MemoryFileError: it cannot be written there.
        """
        size = sum(map(len, self.documents))
        numbers = _NUMBERS.pack(self.max_bytes, self.decodes, size, len(self.documents))
        lengths = b"".join(_LENGTH.pack(len(document)) for document in self.documents)
        partial = None
        try:
            partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            partial.unlink(missing_ok=True)
            owned = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(owned, "wb") as file:
                file.write(MAGIC + numbers + _digest(numbers, lengths, *self.documents) + lengths)
                file.writelines(self.documents)
            partial.replace(path)
        except (OSError, ValueError) as error:
            raise MemoryFileError(
                f"cannot write {path}: {error}. Give the path of a file in a folder that can be written."
            ) from error
        finally:
            if partial is not None:
                with suppress(OSError, ValueError):
                    partial.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path, least: int, most: int) -> MemoryFile:
        """Read a file of a memory for ``least`` to ``most`` bytes; nothing is read that does not add up.

        Raises:
            MemoryFileError: no file, another version, or a damaged one.
        """
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise MemoryFileError(f"got {path}, which is no file; expected a saved memory. {_AGAIN}")
            with path.open("rb") as file:
                start = file.read(_START)
                if not start.startswith(MAGIC):
                    raise MemoryFileError(
                        f"got {path}, which begins with {start[: len(MAGIC)]!r}; expected {MAGIC!r}. It is "
                        f"no memory, or one of another version. {_AGAIN}"
                    )
                numbers = start[len(MAGIC) : -_DIGEST]
                told = _NUMBERS.unpack(numbers) if len(start) == _START else (0, 0, 0, 0)
                max_bytes, decodes, size, count = told
                fits = least <= max_bytes <= most and size <= max_bytes and count <= size // _SHORT + 1
                if not fits or found.st_size != _START + count * _LENGTH.size + size:
                    raise _damaged(path, "its length is not what it says")
                lengths = file.read(count * _LENGTH.size)
                text = file.read(size)
        except (OSError, ValueError) as error:
            if isinstance(error, MemoryFileError):
                raise
            raise MemoryFileError(f"cannot read {path}: {error}. Give the path of a saved memory.") from error
        if start[-_DIGEST:] != _digest(numbers, lengths, text):
            raise _damaged(path, "its checksum is wrong")
        sizes = [length for (length,) in _LENGTH.iter_unpack(lengths)]
        if sum(sizes) != size or 0 in sizes:
            raise _damaged(path, "its texts are longer or shorter than it says")
        return cls(max_bytes, decodes, list(_cut(text, sizes)))


def _cut(text: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size, end in zip(sizes, accumulate(sizes), strict=True):
        yield text[end - size : end]


def _digest(*parts: bytes) -> bytes:
    made = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        made.update(part)
    return made.digest()


def _damaged(path: Path, why: str) -> MemoryFileError:
    return MemoryFileError(f"got {path}, which is damaged: {why}. {_AGAIN}")
