"""What a file is that was to be a model's or a tokenizer's: a pointer, a web page, nothing, a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from anydraft.errors import ModelFileError

_READ = 4096
_SUFFIXES = {".json", ".safetensors", ".gguf", ".model", ".tiktoken"}
_STRANGE = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def require_files(path: Path) -> None:
    """Refuse a pipe, a socket or a device, and a folder with one in it: to read it might never end.

    Raises:
        ModelFileError: it is one.
    """
    for found in (path, *_inside(path)):
        try:
            strange = _STRANGE.get(stat.S_IFMT(found.stat().st_mode))
        except (OSError, ValueError):  # a link that leads nowhere: who needs it says so
            continue
        if strange:
            raise ModelFileError(f"got {found}, which is {strange}; expected a file with an end")


def plain_reason(path: Path) -> str | None:
    """Why a file, or one in a folder, cannot be what it should: the rest of a sentence, ``None`` if unknown.

    To be asked where a library could not read it: what that says of such files is of no help.
    """
    for found in (path, *_inside(path)):
        if found.suffix in _SUFFIXES:
            try:
                with found.open("rb") as read:
                    told = _told(read.read(_READ))
            except (OSError, ValueError):
                continue
            if told:
                return f"{found.name} {told}"
    return None


def _told(beginning: bytes) -> str | None:
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file that it stands for: run git lfs pull there"
    if text.startswith((b"<!doctype html", b"<html")):
        return "is a web page, such as a server's refusal: download it again"
    if not beginning.strip(b"\0"):
        return f"{'holds only zero bytes' if beginning else 'is empty'}: download it again"
    return None


def _inside(path: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(path))
    except (OSError, ValueError):
        return []
