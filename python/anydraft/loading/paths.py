"""Paths that a user names: found, or refused in one sentence, before anything slow begins."""

from __future__ import annotations

import os
from pathlib import Path

from anydraft.errors import ModelFileError
from anydraft.loading.plain_reasons import require_files

_OR_BY_NAME = "an org/name of the Hugging Face Hub, or tiny, smollm2 or gemma3"
A_MODEL = f"expected a transformers folder, a .gguf file, {_OR_BY_NAME}"
A_TOKENIZER = (
    "expected a transformers folder, a .gguf file, a tokenizer.json, a tekken.json, a .tiktoken file, a "
    f"SentencePiece .model file, {_OR_BY_NAME}"
)
A_TEXT = "expected a file of UTF-8 text"
A_CORPUS = "expected a text, a folder or an archive of texts"


def escaped(text: str) -> str:
    """Text of a stranger, such as a file's name, in which nothing steers a terminal: ``\\x1b``."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with ``~`` replaced by the home folder it stands for.

    Raises:
        ModelFileError: there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ModelFileError(
            f"got {os.fspath(path)}, where ~ stands for no known home folder; expected the folder's full path"
        ) from error


def existing(path: str | os.PathLike[str], expected: str) -> Path:
    """The path of something that is there; ``expected`` says what it should be, as the rest of a sentence.

    Raises:
        ModelFileError: there is nothing, or no file can have this name.
    """
    found = expanded(path)
    try:
        found.stat()
    except FileNotFoundError as error:
        raise ModelFileError(f"got {os.fspath(path)}, where there is nothing; {expected}") from error
    except (OSError, ValueError) as error:  # no such name: too long, with a zero byte; or no leave to look
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"got {_shown(path)}, which cannot be read ({reason}); {expected}") from error
    return found


def model_at(path: str | os.PathLike[str]) -> Path:
    """The path of a model's folder or GGUF file.

    Raises:
        ModelFileError: there is nothing, another file, or a folder without a model's config.
    """
    found = existing(path, A_MODEL)
    if found.is_dir():
        existing(found / "config.json", "without a config.json transformers finds no model there")
    elif found.suffix != ".gguf":
        raise ModelFileError(f"got {path}; {A_MODEL}")
    require_files(found)
    return found


def tokenizer_at(path: str | os.PathLike[str]) -> Path:
    """The path of a tokenizer's folder or file.

    Raises:
        ModelFileError: there is nothing, or a pipe or device.
    """
    found = existing(path, A_TOKENIZER)
    require_files(found)
    return found


def writable(path: str | os.PathLike[str]) -> Path:
    """The path of a file that is to be written, in a folder that is there.

    Raises:
        ModelFileError: there is no such folder.
    """
    found = expanded(path)
    if not existing(found.parent, f"expected a folder, for {found.name}").is_dir():
        raise ModelFileError(f"got {path}, in what is no folder; expected a folder that is there")
    return found


def _shown(path: str | os.PathLike[str]) -> str:
    """A name as it can be printed: nothing in it steers a terminal, the middle of a long one is left out."""
    text = escaped(os.fspath(path))
    return text if len(text) <= 200 else f"{text[:100]}...{text[-60:]}"
