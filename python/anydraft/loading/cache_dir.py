"""The user's cache folder: entries appear whole or not at all, whoever is interrupted or runs beside."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from anydraft.errors import ModelFileError

_BLOCK = 1 << 16
_SAMPLES = 64
_STALE_SECONDS = 24 * 3600
_PARTIAL = ".partial-"


def root() -> Path:
    """``$ANYDRAFT_CACHE``, else ``$XDG_CACHE_HOME/anydraft``, else ``~/.cache/anydraft``; may not exist.

    Raises:
        ModelFileError: none of these is known: a user without a home folder.
    """
    own = os.environ.get("ANYDRAFT_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "anydraft"
    try:
        return Path.home() / ".cache" / "anydraft"
    except RuntimeError as error:
        raise ModelFileError(
            "there is no place for the cache folder: this user has no home folder. "
            "Set ANYDRAFT_CACHE to a folder"
        ) from error


def fingerprint(path: Path) -> str:
    """Sixteen hex digits that follow a file's content, not its name or date.

    Reads the size and 64 blocks of 64 KiB spread evenly from the first byte to the last (the whole file if it
    is smaller), so that a file of many gigabytes costs milliseconds.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _BLOCK * _SAMPLES:
            digest.update(file.read())
        else:
            for i in range(_SAMPLES):
                file.seek((size - _BLOCK) * i // (_SAMPLES - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:16]


def entry(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, made by ``make(empty folder)`` if it is not there yet.

    ``make`` fills a folder of another name, which is renamed when it is complete: an interrupted run leaves
    no entry, and of two runs at once the first to finish wins.

    Raises:
        ModelFileError: the cache folder cannot be written, or the disk is full.
    """
    final = root() / name
    try:
        if final.is_dir():
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        _sweep(final.parent)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=final.parent))
    except OSError as error:
        raise _unwritable(final.parent, error) from error
    try:
        make(partial)
        partial.chmod(0o755)
        try:
            partial.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    except ModelFileError:
        raise
    except OSError as error:
        raise _unwritable(final.parent, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _sweep(folder: Path) -> None:
    """Remove what runs that were killed a day ago or more have left."""
    for old in folder.glob(_PARTIAL + "*"):
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> ModelFileError:
    return ModelFileError(
        f"cannot write to the cache folder {folder}: {error}. "
        "Make room there, or set ANYDRAFT_CACHE to another folder."
    )
