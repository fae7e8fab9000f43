"""Ids in proportion to tokens, looked at before a library takes memory for each up to the largest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anydraft.errors import ModelFileError
from anydraft.loading.reading import read_object, reading

MOST_IDS = 1 << 20
"""So many ids are always read, as in the core."""
_SPARSEST = 4
"""Ids for every token in a larger vocabulary, as in the core."""
_DIGITS = 20
"""More than any id has; Python refuses to read numbers of thousands."""
_ADDED = "added_tokens.json"
"""Its ids are given anew, one after the other."""
_VOCABULARY = "vocab.json"
"""A vocabulary alone. Any other file of names and numbers may be about something else."""
_LARGE = re.compile(rb":\s*(\d{7,})\b")


def require_dense(file: Path) -> None:
    """Refuse a ``tokenizer.json`` with ids far beyond its tokens before the tokenizers library reads it.

    The library takes memory for every id up to the largest; the bounds are those of the core. A file is only
    parsed for this if some number in it is that large.

    Raises:
        ModelFileError: there is such an id.
    """
    with reading(file, "a tokenizer"):
        content = file.read_bytes()
        if not _has_large(content):
            return
        data = json.loads(content)
        vocab = data["model"]["vocab"]
        _require(file, vocab, data.get("added_tokens") or ())


def require_dense_folder(folder: Path) -> None:
    """The same for all files of a folder that transformers may take ids from.

    Those that ``fast_tokenizer_files`` names are read in place of ``tokenizer.json``, and ``vocab.json``
    where there is none.

    Raises:
        ModelFileError: there is such an id.
    """
    named = read_object(folder / "tokenizer_config.json").get("fast_tokenizer_files")
    more = [folder / name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    for file in {*folder.glob("*.json"), *more}:
        if not file.is_file() or file.name == _ADDED:
            continue
        content = file.read_bytes()
        data = read_object(file) if _has_large(content) else {}
        model = data.get("model")
        if isinstance(model, dict) and "vocab" in model:
            require_dense(file)
        elif file.name == _VOCABULARY:
            _require(file, data, ())


def _has_large(content: bytes) -> bool:
    return any(len(found) > _DIGITS or int(found) >= MOST_IDS for found in _LARGE.findall(content))


def _require(file: Path, vocab: Any, added: Iterable[Any]) -> None:
    ids = [i for i in vocab.values() if isinstance(i, int)] if isinstance(vocab, dict) else []
    largest = max([*ids, *(token["id"] for token in added)], default=0)
    if largest >= max(MOST_IDS, _SPARSEST * len(vocab)):
        raise ModelFileError(
            f"got {file}, with the id {largest} in a vocabulary of {len(vocab)} tokens; expected ids near "
            "the number of tokens. The file is damaged, or made to take memory"
        )
