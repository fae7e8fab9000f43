"""The file of a saved bridge: tables as safetensors, with what they were made of and a checksum."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from anydraft.bridge.tables import Ids
from anydraft.bridge.validation import fault
from anydraft.errors import BridgeFileError

FORMAT = "anydraft-bridge-1"
"""Changes whenever a bridge of the same tokenizers would have other tables."""

_AGAIN = "Build the bridge again and save it."
_Pairs: TypeAlias = list[tuple[int, int]]


@dataclass(frozen=True)
class BridgeFile:
    """What is kept of a bridge."""

    target: str
    """Fingerprint of the target's tokenizer."""
    draft: str
    to_target: _Pairs
    """Control tokens that were given as partners; see :class:`anydraft.Bridge`."""
    to_draft: _Pairs
    arrays: dict[str, Ids]

    def write(self, path: Path) -> None:
        """Write the file; it appears whole or not at all.

        Raises:
            BridgeFileError: it cannot be written there.
        """
        metadata = self._metadata()
        metadata["checksum"] = _checksum(metadata, self.arrays)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            save_file(self.arrays, str(partial), metadata)
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            raise BridgeFileError(
                f"cannot write {path}: {error}. Give the path of a file in a folder that can be written."
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path, names: Iterable[str]) -> BridgeFile:
        """Read a file that must have the tables ``names``.

        Raises:
            BridgeFileError: no file, another version, a damaged file, or tables that are none.
        """
        try:
            with safe_open(str(path), "np") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        except (OSError, SafetensorError) as error:
            raise BridgeFileError(
                f"got {path}, which cannot be read as a bridge: {error}. {_AGAIN}"
            ) from error
        if metadata.get("format") != FORMAT:
            raise BridgeFileError(
                f"got {path} of format {metadata.get('format')!r}; expected {FORMAT!r}. {_AGAIN}"
            )
        checksum = metadata.pop("checksum", None)
        if set(arrays) != set(names) or checksum != _checksum(metadata, arrays):
            raise BridgeFileError(f"got {path}, which is damaged: its checksum is wrong. {_AGAIN}")
        try:
            to_target, to_draft = (_read_pairs(metadata[name]) for name in ("to_target", "to_draft"))
            file = cls(metadata["target"], metadata["draft"], to_target, to_draft, arrays)
        except (KeyError, ValueError) as error:
            raise BridgeFileError(
                f"got {path}, whose description cannot be read: {error!r}. {_AGAIN}"
            ) from error
        wrong = fault(arrays, file.to_target, file.to_draft)
        if wrong is not None:
            raise BridgeFileError(f"got {path}, which is no bridge: {wrong}. {_AGAIN}")
        return file

    def _metadata(self) -> dict[str, str]:
        return {
            "format": FORMAT,
            "target": self.target,
            "draft": self.draft,
            "to_target": _write_pairs(self.to_target),
            "to_draft": _write_pairs(self.to_draft),
        }


def _checksum(metadata: dict[str, str], arrays: dict[str, Ids]) -> str:
    total = zlib.crc32(repr(sorted(metadata.items())).encode())
    for name, array in sorted(arrays.items()):
        total = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), total)
        total = zlib.crc32(array.data, total)
    return f"{total:08x}"


def _write_pairs(pairs: _Pairs) -> str:
    return " ".join(f"{a}:{b}" for a, b in pairs)


def _read_pairs(text: str) -> _Pairs:
    return [(int(a), int(b)) for a, b in (pair.split(":") for pair in text.split())]
