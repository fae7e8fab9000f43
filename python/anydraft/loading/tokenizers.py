"""Which file of a folder holds its tokenizer, and that file read: the same for every command and class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from anydraft.errors import ModelFileError
from anydraft.loading.dense import require_dense
from anydraft.loading.light import LightTokenizer
from anydraft.loading.paths import A_TOKENIZER
from anydraft.loading.reading import reading
from anydraft.loading.sentencepiece import load_sentencepiece
from anydraft.loading.tiktoken_files import is_tiktoken, load_tekken, load_tiktoken
from anydraft.loading.tokenizer_config import TokenizerConfig, tokenizer_config

FAST = "tokenizer.json"


def tokenizer_file(path: Path) -> Path | None:
    """The file that is read for a folder or a file; ``None`` for a folder that only transformers can read."""
    if not path.is_dir():
        return path
    for names in (FAST, "tekken*.json", "tokenizer.model*", "*.tiktoken", "*.model*"):
        files = sorted(file for file in path.glob(names) if file.is_file())
        if files:
            return files[-1]
    return None


def of_sentencepiece(file: Path) -> bool:
    """Whether a file is read as one of SentencePiece's."""
    tekken = file.name.startswith("tekken") and file.suffix == ".json"
    return ".model" in file.suffixes and not tekken and not is_tiktoken(file)


def folder_of(found: Path) -> Path:
    """The folder of a file that its configs belong to: they name the BOS, the EOS and the chat template."""
    beside = found.is_file() and (found.parent / "tokenizer_config.json").exists()
    return found.parent if beside and tokenizer_file(found.parent) == found else found


def load_tokenizer_file(
    file: Path,
    pattern: str | None = None,
    special_tokens: Mapping[str, int] | None = None,
    folder: Path | None = None,
) -> Any:
    """The tokenizer in one file, told by its name, or by its lines if it is of tiktoken's format.

    ``folder``: whose configs belong to it; none for a file that was named by itself. See ``load_tokenizer``.

    Raises:
        ModelFileError: a name of no known kind, a damaged file, or a package that the kind needs is missing.
    """
    with reading(file, "a tokenizer"):
        config = TokenizerConfig() if folder is None else tokenizer_config(folder)
        if file.name.startswith("tekken") and file.suffix == ".json":
            return load_tekken(file, config)
        if file.suffix == ".json":
            require_dense(file)
            return LightTokenizer(Tokenizer.from_file(str(file)), config)
        if file.suffix == ".tiktoken" or is_tiktoken(file):
            return load_tiktoken(file, config, pattern, special_tokens)
        if ".model" in file.suffixes:
            return load_sentencepiece(file, config)
    raise ModelFileError(f"got {file}; {A_TOKENIZER}")
