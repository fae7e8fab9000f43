"""One side of an examination: a tokenizer, its bytes as arrays, and what is known of its model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anydraft import Retokenizer, Tokenizer
from anydraft.bridge.panics import without_panics
from anydraft.bridge.special_tokens import tiktoken_of
from anydraft.bridge.tokenizer_source import Role, TokenizerSource
from anydraft.doctor.model_facts import Generation, ModelFacts, model_facts
from anydraft.doctor.segmentation import Segmentation
from anydraft.doctor.shown import visible
from anydraft.errors import TokenizerError
from anydraft.loading.names import short_name, tokenizer_named
from anydraft.loading.paths import escaped, expanded
from anydraft.loading.tokenizer_quick import open_tokenizer

_GPT2_PLAIN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
"""The bytes that byte-level vocabularies write as the character of the same number."""


class Subject:
    """A tokenizer that is examined. Everything is worked out when it is first asked for, and kept."""

    def __init__(
        self,
        tokenizer: Any,
        *,
        name: str,
        facts: ModelFacts | None = None,
        role: Role = "target",
    ) -> None:
        """``tokenizer``: of transformers or tokenizers, or a ``tiktoken.Encoding``.

        ``name`` is what reports call it; ``role`` is for error messages.

        Raises:
            TokenizerError: one that cannot be expressed in bytes.
        """
        self.tokenizer = tokenizer
        self.name = name
        self.facts = facts or ModelFacts()
        whole = TokenizerSource.of(tokenizer, role)
        rows = self.facts.rows
        self.core: Tokenizer = (whole if rows is None else whole.within(rows)).load()
        """As bytes, without added tokens that the model has no row for."""
        self.without_rows = len(whole.load()) - len(self.core)
        """How many ids those take."""

    @classmethod
    def open(
        cls,
        path: str | Path,
        progress: Callable[[str, float], None] = lambda *_: None,
        *,
        name: str | None = None,
        pattern: str | None = None,
        role: Role = "target",
    ) -> Subject:
        """By name, as for ``load_tokenizer``; no weights are read. ``pattern``: see ``open_tokenizer``.

        Raises:
            ModelFileError: nothing there that can be read.
            TokenizerError: a tokenizer that cannot be expressed in bytes.
        """
        found = tokenizer_named(path, progress)
        tokenizer = open_tokenizer(path, progress, pattern=pattern)
        return cls(tokenizer, name=name or name_of(path), facts=model_facts(found), role=role)

    @property
    def generation(self) -> Generation:
        """The model's end tokens, as a generation config has them."""
        return Generation(list(self.facts.end_ids) or None)

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of every id; none for control tokens and unused ids."""
        return [self.core.bytes(i) for i in range(len(self.core))]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """``[V]``: how many bytes each id stands for."""
        return np.fromiter(map(len, self.token_bytes), np.int64, len(self.token_bytes))

    @cached_property
    def strings(self) -> dict[str, int]:
        """Ids by vocabulary string, as a map between vocabularies by strings would see them.

        tiktoken has no such strings; its tokens are written in GPT-2's alphabet, as converters do.
        """
        backend = getattr(self.tokenizer, "backend_tokenizer", self.tokenizer)
        if tiktoken_of(self.tokenizer) is None and callable(getattr(backend, "get_vocab", None)):
            known = backend.get_vocab(with_added_tokens=True)
            return {name: i for name, i in known.items() if i < len(self.core)}
        others = iter(range(256, 512))
        alphabet = [chr(i) if i in _GPT2_PLAIN else chr(next(others)) for i in range(256)]
        found = {
            "".join([alphabet[byte] for byte in token]): i
            for i, token in enumerate(self.token_bytes)
            if token
        }
        return found | {name: i for i, name in self.core.special_tokens.items()}

    def encode(self, text: bytes) -> Segmentation:
        """The text as this tokenizer cuts it; characters that it cannot write are left out."""
        stream = Retokenizer(self.core)
        stream.push(text)
        ids = np.array(stream.ids(), dtype=np.int64)
        ends = np.array(stream.ends(), dtype=np.int64)
        return Segmentation(ids, ends - self.lengths[ids], ends)

    def label(self, token: int) -> str:
        """A control token by its content, any other by its bytes."""
        if token >= len(self.core):
            return f"id {token}"
        return self.core.special_tokens.get(token) or visible(self.core.bytes(token))


def name_of(name: str | Path) -> str:
    """What to call the tokenizer of a name: a folder's name, or a file's where that tells more.

    As it can be printed: control characters are escaped.
    """
    try:
        path = expanded(name)
        if path.name in {"tokenizer.json", "tokenizer.model", "tekken.json"}:
            return escaped(path.resolve().parent.name)
        if path.is_dir():
            return escaped(path.resolve().name)
        there = path.exists()
    except (OSError, ValueError):  # no file can have this name: who opens it says so
        there = False
    if not there:
        return short_name(name)
    return escaped(path.name if ".model" in path.suffixes else path.stem)


def own_ids(subject: Subject, text: str) -> list[int]:
    """What the user's tokenizer itself makes of a text, without the control tokens that it puts around.

    Raises:
        TokenizerError: its library fails on the text.
    """
    try:
        with without_panics():
            return _own_ids(subject.tokenizer, text)
    except TokenizerError:
        raise
    except Exception as error:  # other people's code, which may raise anything
        raise TokenizerError(
            f"got the tokenizer {subject.name}, whose own library fails on a text ({type(error).__name__}: "
            f"{error}); expected one that can encode any text. Choose another model"
        ) from error


def _own_ids(tokenizer: Any, text: str) -> list[int]:
    encoding: Any = tiktoken_of(tokenizer)
    if encoding is not None:
        return list(encoding.encode_ordinary(text))
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if backend.truncation or backend.padding:
        backend = type(backend).from_str(backend.to_str())  # the user's must stay as it is
        backend.no_truncation()
        backend.no_padding()
    return list(backend.encode(text, add_special_tokens=False).ids)
