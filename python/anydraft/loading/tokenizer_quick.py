"""A tokenizer from a path without importing PyTorch, for what must answer at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from anydraft import __version__
from anydraft.loading import cache_dir
from anydraft.loading.dense import require_dense
from anydraft.loading.paths import A_TOKENIZER, existing
from anydraft.loading.reading import reading
from anydraft.loading.tokenizers import load_tokenizer_file, tokenizer_file_in

_FAST: Any = PreTrainedTokenizerFast
_LOGGING: Any = transformers_logging
_POINTER = "folder"


def open_tokenizer(
    path: str | Path, progress: Callable[[str, float], None], *, pattern: str | None = None
) -> Any:
    """The tokenizer at ``path``: a transformers folder, or any file that ``files.load_tokenizer`` reads.

    A folder is read from its ``tokenizer.json`` as it stands, never rebuilt by a model's own class; a folder
    without one from its SentencePiece, tekken or tiktoken file. Well-known files of tiktoken's format are
    told by their content, any other needs ``pattern``. PyTorch is imported in two cases: a GGUF file that is
    seen for the first time (its tokenizer is then kept in the cache folder), and a folder with none of these.

    Raises:
        ModelFileError: nothing at ``path``, or no tokenizer that can be read.
    """
    found = existing(path, A_TOKENIZER)
    if found.suffix == ".gguf":
        found = _gguf_folder(found, progress)
    if found.name == "tokenizer.json" and (found.parent / "tokenizer_config.json").exists():
        found = found.parent  # it names the BOS, the EOS and the chat template
    if found.is_dir():
        return _folder(found, progress, pattern)
    return load_tokenizer_file(found, pattern, None)


def _folder(folder: Path, progress: Callable[[str, float], None], pattern: str | None) -> Any:
    if (folder / "tokenizer.json").exists():
        return _fast(folder)
    file = tokenizer_file_in(folder)
    if file is not None:
        return load_tokenizer_file(file, pattern, None)
    from anydraft.loading.folders import load_tokenizer

    return load_tokenizer(folder, progress)


def _fast(folder: Path) -> Any:
    verbosity = _LOGGING.get_verbosity()
    _LOGGING.set_verbosity(_LOGGING.CRITICAL)
    try:
        require_dense(folder / "tokenizer.json")
        with reading(folder, "a tokenizer"):
            return _FAST.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    finally:
        _LOGGING.set_verbosity(verbosity)


def _gguf_folder(file: Path, progress: Callable[[str, float], None]) -> Path:
    """Where the tokenizer of a GGUF file is kept; a note of it in the cache spares the import of PyTorch."""

    def make(note: Path) -> None:
        from anydraft.loading import gguf

        folder = gguf.tokenizer_folder(file, progress)
        (note / _POINTER).write_text(str(folder), encoding="utf-8")

    name = f"quick/{file.stem}-{cache_dir.fingerprint(file)}-{__version__}"
    pointer = cache_dir.entry(name, make) / _POINTER
    folder = Path(pointer.read_text(encoding="utf-8"))
    if folder.is_dir():
        return folder
    from anydraft.loading import gguf  # the cache was cleared in part

    folder = gguf.tokenizer_folder(file, progress)
    pointer.write_text(str(folder), encoding="utf-8")
    return folder
