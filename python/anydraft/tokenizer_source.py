"""Whatever tokenizer a user has, handed to the Rust core."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anydraft import _core
from anydraft.errors import ModelFileError, TokenizerError


class TokenizerSource:
    """A tokenizer that can be identified without being read, and is read once."""

    def __init__(self, fingerprint: str, read: Callable[[], _core.Tokenizer]) -> None:
        """``fingerprint``: equal for equal tokenizers; ``read``: makes the core's tokenizer."""
        self.fingerprint = fingerprint
        self._read = read
        self._lock = threading.Lock()
        self._loaded: _core.Tokenizer | None = None

    def load(self) -> _core.Tokenizer:
        """The tokenizer as bytes; read at the first call."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._read()
            return self._loaded

    @classmethod
    def of(cls, tokenizer: Any) -> TokenizerSource:
        """From a tokenizer of transformers or tokenizers, a ``tiktoken.Encoding``, the core, or a file.

        Raises:
            TokenizerError: anything else; a Python ("slow") tokenizer.
            ModelFileError: a path where no file can be read.
        """
        if isinstance(tokenizer, _core.Tokenizer):
            return cls(tokenizer.fingerprint, lambda: tokenizer)
        if isinstance(tokenizer, (str, os.PathLike)):
            return cls._of_json(_file(Path(tokenizer)))
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if callable(getattr(backend, "to_str", None)):
            return cls._of_json(backend.to_str())
        encoding = getattr(tokenizer, "tokenizer", tokenizer)
        if hasattr(encoding, "_mergeable_ranks"):
            return cls._of_tiktoken(encoding)
        raise TokenizerError(
            f"got a {type(tokenizer).__name__}; expected a fast tokenizer of transformers, a "
            "tokenizers.Tokenizer, a tiktoken.Encoding or a path of a tokenizer.json. Of a slow one load "
            "the fast form: AutoTokenizer.from_pretrained(..., use_fast=True)"
        )

    @classmethod
    def _of_json(cls, json: str) -> TokenizerSource:
        return cls(_core.fingerprint(json), lambda: _core.Tokenizer.from_json(json))

    @classmethod
    def _of_tiktoken(cls, encoding: Any) -> TokenizerSource:
        ranks = list(encoding._mergeable_ranks.items())
        parts = ranks, list(encoding._special_tokens.items()), encoding._pat_str
        return cls(_core.tiktoken_fingerprint(*parts), lambda: _core.Tokenizer.from_tiktoken(*parts))


def _file(path: Path) -> str:
    path = path.expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"got {path}, which is no readable tokenizer.json: {error}") from error
