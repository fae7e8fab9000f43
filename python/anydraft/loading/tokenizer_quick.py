"""A tokenizer by its name, as its files describe it: without PyTorch and without transformers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anydraft import __version__
from anydraft.loading import cache_dir
from anydraft.loading.extras import imported
from anydraft.loading.gguf_patterns import RECIPE
from anydraft.loading.names import tokenizer_named
from anydraft.loading.progress import Progress, silent
from anydraft.loading.tokenizers import folder_of, load_tokenizer_file, tokenizer_file

_POINTER = "folder"
_GGUF = "anydraft.loading.gguf"


def open_tokenizer(
    name: str | os.PathLike[str],
    progress: Progress = silent,
    *,
    pattern: str | None = None,
    special_tokens: Mapping[str, int] | None = None,
) -> Any:
    """The tokenizer of a name; see :func:`~anydraft.loading.names.tokenizer_named`.

    A folder is read from its ``tokenizer.json`` as it stands, never rebuilt by a model's own class; a folder
    without one from its SentencePiece, tekken or tiktoken file. Well-known files of tiktoken's format are
    told by their content, any other needs ``pattern``. Transformers is imported in two cases: a GGUF file
    that is seen for the first time (its tokenizer is then kept in the cache folder), and a folder with none
    of these.

    Raises:
        ModelFileError: nothing of this name, or no tokenizer that can be read.
        MissingPackageError: one of the two cases, and transformers is not installed.
    """
    found = tokenizer_named(name, progress)
    if found.suffix == ".gguf":
        found = _gguf_folder(found, progress)
    found = folder_of(found)
    file = tokenizer_file(found)
    if file is not None:
        return load_tokenizer_file(file, pattern, special_tokens, found if found.is_dir() else None)
    return imported("anydraft.loading.auto_tokenizer").auto_tokenizer(found)


def _gguf_folder(file: Path, progress: Progress) -> Path:
    """Where the tokenizer of a GGUF file is kept; a note of it in the cache spares the import of PyTorch."""

    def make(note: Path) -> None:
        folder = imported(_GGUF).tokenizer_folder(file, progress)
        (note / _POINTER).write_text(str(folder), encoding="utf-8")

    name = f"quick/{file.stem}-{cache_dir.fingerprint(file)}-{__version__}-{RECIPE}"
    pointer = cache_dir.entry(name, make) / _POINTER
    folder = Path(pointer.read_text(encoding="utf-8"))
    if folder.is_dir():
        return folder
    folder = Path(imported(_GGUF).tokenizer_folder(file, progress))  # the cache was cleared in part
    pointer.write_text(str(folder), encoding="utf-8")
    return folder
