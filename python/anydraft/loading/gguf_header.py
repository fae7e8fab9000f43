"""The few facts of a GGUF file's header that no tokenizer holds, read in a fraction of a second.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from anydraft.loading.reading import reading

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_EMBEDDING = "token_embd.weight"


def read_header(path: Path) -> dict[str, Any]:
    """Every scalar and string of the metadata, and ``"rows"``: how many rows the embedding has.

    Raises:
        ModelFileError: no GGUF file of version 2 or 3.
    """
    with (
        reading(path, "the header of a GGUF file"),
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        return _Reader(data).header()


class _Reader:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def header(self) -> dict[str, Any]:
        magic, version, tensors, pairs = self._data[:4], *struct.unpack_from("<IQQ", self._data, 4)
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"magic {magic!r} and version {version}; expected b'GGUF' and 2 or 3")
        self._at = 24
        found: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._string()
            value = self._value(self._scalar("<I"))
            if value is not None:
                found[key] = value
        for _ in range(tensors):
            name = self._string()
            shape = [self._scalar("<Q") for _ in range(self._scalar("<I"))]
            self._at += 12  # its type and where its data lies
            if name == _EMBEDDING:
                found["rows"] = shape[-1]
                break
        return found

    def _scalar(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value

    def _string(self) -> str:
        size = self._scalar("<Q")
        if size > len(self._data) - self._at:
            raise ValueError(f"a string of {size} bytes goes beyond the end of the file")
        self._at += size
        return self._data[self._at - size : self._at].decode(errors="replace")

    def _value(self, kind: int) -> Any:
        """A scalar or a string; ``None`` for an array, which is skipped."""
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._scalar(_SCALARS[kind])
        inner, count = self._scalar("<I"), self._scalar("<Q")
        if inner in _SCALARS:
            self._at += count * struct.calcsize(_SCALARS[inner])
            return None
        for _ in range(count):
            if inner == _STRING:
                self._at += 8 + struct.unpack_from("<Q", self._data, self._at)[0]
            else:
                self._value(inner)
        return None
