"""Whatever tokenizer a user has, handed to the Rust core."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from anydraft import _core
from anydraft.bridge.protocols import TiktokenEncoding, TokenizerOrFile
from anydraft.bridge.special_tokens import tiktoken_of
from anydraft.errors import ModelFileError, TokenizerError
from anydraft.loading.paths import tokenizer_at
from anydraft.loading.tokenizer_quick import open_tokenizer
from anydraft.loading.tokenizers import folder_of

Role: TypeAlias = Literal["target", "draft"]


class TokenizerSource:
    """A tokenizer that can be identified without being read, and is read once."""

    def __init__(
        self,
        name: str,
        fingerprint: str,
        read: Callable[[], _core.Tokenizer] | None,
        *,
        most_added: int = -1,
    ) -> None:
        """``name`` is for messages; ``read`` makes the core's tokenizer, if that is not there already.

        ``most_added``: the largest id of an added token, if that is known.
        """
        self._most_added = most_added
        self.fingerprint = fingerprint
        """Equal for equal tokenizers."""
        self._name = name
        self._read = read
        self._lock = threading.RLock()  # an interrupt may leave it locked; this thread must go on
        self._loaded: _core.Tokenizer | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """What it is read from goes to another process, and is read there again where it is needed."""
        if self._read is None:
            raise TokenizerError(
                f"{self._name}: got one that keeps no copy of what it was read from, to be pickled; expected "
                "a tokenizer of a library or a path. Make the bridge of the tokenizer itself"
            )
        return _again, (self.fingerprint, self._name, self._read)

    def load(self) -> _core.Tokenizer:
        """The tokenizer as bytes; read at the first call.

        Raises:
            TokenizerError: it cannot be expressed in bytes.
        """
        with self._lock:
            if self._loaded is None:
                assert self._read is not None
                try:
                    self._loaded = self._read()
                except TokenizerError as error:
                    raise TokenizerError(f"{self._name}: {error}") from error
            return self._loaded

    def within(self, rows: int) -> TokenizerSource:
        """Without added tokens from id ``rows`` on: a model of so many rows neither reads nor says them."""
        if self._most_added < rows or not isinstance(self._read, partial):
            return self
        (text,) = self._read.args
        return TokenizerSource(self._name, f"{self.fingerprint}-{rows}", partial(_from_json, text, rows))

    def like(self, fingerprint: str) -> TokenizerSource:
        """Without the added tokens that a fingerprint says were left out; itself if it says nothing such."""
        whole, _, rows = fingerprint.rpartition("-")
        return self.within(int(rows)) if whole == self.fingerprint and rows.isdecimal() else self

    @classmethod
    def of(cls, tokenizer: TokenizerOrFile | TokenizerSource, role: Role) -> TokenizerSource:
        """From a tokenizer of transformers or tokenizers, a ``tiktoken.Encoding``, the core, or a file.

        Raises:
            TokenizerError: anything else; a Python ("slow") tokenizer.
            ModelFileError: a path where no file can be read.
        """
        if isinstance(tokenizer, TokenizerSource):
            return tokenizer
        kind = type(tokenizer).__name__
        if isinstance(tokenizer, _core.Tokenizer):
            source = cls(_name(role, kind), tokenizer.fingerprint, None)
            source._loaded = tokenizer
            return source
        if isinstance(tokenizer, (str, os.PathLike)):
            bare = _bare(Path(tokenizer))
            if bare is not None:
                return cls._of_json(role, os.fspath(tokenizer), bare)
            return cls.of(open_tokenizer(tokenizer), role)
        backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if callable(getattr(backend, "to_str", None)):
            return cls._of_json(role, kind, backend.to_str(), _most_added(backend))
        encoding = tiktoken_of(tokenizer)
        if encoding is not None:
            return cls._of_tiktoken(role, kind, encoding)
        raise TokenizerError(
            f"the {role}'s tokenizer: got a {kind}; expected a fast tokenizer of transformers, a "
            "tokenizers.Tokenizer, a tiktoken.Encoding or the name of a tokenizer. Of a slow one load "
            "the fast form: AutoTokenizer.from_pretrained(..., use_fast=True)"
        )

    @classmethod
    def _of_json(cls, role: Role, kind: str, json: str, most_added: int = -1) -> TokenizerSource:
        read = partial(_from_json, json)
        return cls(_name(role, kind), _core.fingerprint(json), read, most_added=most_added)

    @classmethod
    def _of_tiktoken(cls, role: Role, kind: str, encoding: TiktokenEncoding) -> TokenizerSource:
        ranks = list(encoding._mergeable_ranks.items())
        parts = ranks, list(encoding._special_tokens.items()), encoding._pat_str
        fingerprint = _core.tiktoken_fingerprint(*parts)
        return cls(_name(role, kind), fingerprint, partial(_from_tiktoken, *parts))


def _name(role: Role, kind: str) -> str:
    return f"the {role}'s tokenizer ({kind})"


# At the module's level, so that they can be pickled.
def _again(fingerprint: str, name: str, read: Callable[[], _core.Tokenizer]) -> TokenizerSource:
    return TokenizerSource(name, fingerprint, read)


def _from_json(json: str, rows: int | None = None) -> _core.Tokenizer:
    return _core.Tokenizer.from_json(json, rows)


def _most_added(backend: Any) -> int:
    added: dict[int, object] = getattr(backend, "get_added_tokens_decoder", dict)()
    return max(added, default=-1)


def _from_tiktoken(*parts: Any) -> _core.Tokenizer:
    return _core.Tokenizer.from_tiktoken(*parts)


def _bare(path: Path) -> str | None:
    """The content of a ``tokenizer.json`` that has no config beside it, which the core reads as it stands."""
    if path.suffix != ".json" or path.name.startswith("tekken") or folder_of(path).is_dir():
        return None
    path = tokenizer_at(path)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"got {path}, which is no readable tokenizer.json: {error}") from error
