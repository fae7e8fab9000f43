"""What a subject is made of, from what users have: each library's own encode and decode, for plain text."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

from anydraft._core import Detokenizer, Retokenizer, Tokenizer
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import ArgumentError, TokenizerError
from anydraft.loading.light import LightTokenizer

Parts = dict[str, Any]
"""By the names of a subject's fields."""


def adapt(tokenizer: Any, reading: Any = None) -> Parts:
    """The parts of any tokenizer; see :meth:`Subject.of`."""
    if isinstance(tokenizer, (str, os.PathLike)):
        return _of_name(os.fspath(tokenizer), reading)
    if isinstance(tokenizer, LightTokenizer):
        return _of_tokenizers(tokenizer.backend_tokenizer, reading)
    if isinstance(tokenizer, Tokenizer):
        return _of_core(tokenizer)
    inner = getattr(tokenizer, "tokenizer", None)
    encoding = tokenizer if hasattr(tokenizer, "_mergeable_ranks") else inner
    if hasattr(encoding, "_mergeable_ranks"):
        return _of_tiktoken(encoding, reading)
    if hasattr(tokenizer, "get_added_vocab") and hasattr(tokenizer, "convert_ids_to_tokens"):
        return _of_transformers(tokenizer, reading)
    if callable(getattr(tokenizer, "to_str", None)) and hasattr(tokenizer, "encode_special_tokens"):
        return _of_tokenizers(tokenizer, reading)
    if callable(getattr(tokenizer, "encode", None)) and callable(getattr(tokenizer, "decode", None)):
        return _of_plain(tokenizer, reading)
    raise ArgumentError(
        f"got a {type(tokenizer).__name__}; expected a tokenizer of transformers, tokenizers or tiktoken, "
        "a path, or an object with encode(text) -> ids and decode(ids) -> text"
    )


def _of_name(name: str, reading: Any) -> Parts:
    from anydraft.loading.tokenizer_quick import open_tokenizer

    return {**adapt(open_tokenizer(name), reading), "name": name}


def _of_tokenizers(wheel: Any, reading: Any) -> Parts:
    own = type(wheel).from_str(wheel.to_str())
    own.encode_special_tokens = True
    own.no_padding()
    own.no_truncation()
    return _made(
        wheel,
        reading,
        encode=lambda text: own.encode(text, add_special_tokens=False).ids,
        decode=lambda ids: own.decode(ids, skip_special_tokens=False),
        stream=_stream(own),
        size=own.get_vocab_size(),
        **_added(own.get_added_tokens_decoder()),
    )


def _of_transformers(tokenizer: Any, reading: Any) -> Parts:
    own = copy.deepcopy(tokenizer)
    backend = getattr(own, "backend_tokenizer", None)
    return _made(
        tokenizer,
        reading,
        encode=lambda text: own.encode(text, add_special_tokens=False, split_special_tokens=True),
        decode=lambda ids: own.decode(ids, skip_special_tokens=False),
        stream=None if backend is None else _stream(backend),
        size=len(own),
        **_added(own.added_tokens_decoder),
    )


def _of_tiktoken(encoding: Any, reading: Any) -> Parts:
    return _made(
        encoding,
        reading,
        encode=encoding.encode_ordinary,
        decode=encoding.decode,
        size=encoding.n_vocab,
        special_tokens=dict(encoding._special_tokens),
        look_alikes=tuple(encoding._special_tokens),
    )


def _of_core(core: Tokenizer) -> Parts:
    def encode(text: str) -> list[int]:
        ids = core.encode(text.encode())
        if ids is None:
            raise ValueError("a byte of the text has no token")
        return ids

    def decode(ids: list[int]) -> str:
        return core.decode(ids).decode(errors="replace")

    return {"name": "Tokenizer", "encode": encode, "decode": decode, **core_parts(core)}


def _of_plain(tokenizer: Any, reading: Any) -> Parts:
    optional = {
        name: getattr(tokenizer, name)
        for name in ("token_bytes", "encode_bytes", "detokenizer", "retokenizer", "stream", "special_tokens")
        if getattr(tokenizer, name, None) is not None
    }
    if "special_tokens" in optional:
        optional["look_alikes"] = tuple(optional["special_tokens"])
    if hasattr(tokenizer, "__len__"):
        optional["size"] = len(tokenizer)
    read = {} if reading is None else core_parts(TokenizerSource.of(reading, "target").load())
    own = {"encode": tokenizer.encode, "decode": tokenizer.decode}
    return {"name": type(tokenizer).__name__, **own, **read, **optional}


def _made(tokenizer: Any, reading: Any, **own: Any) -> Parts:
    """A tokenizer that anydraft may be able to read; without a reading, only its own functions are tested."""
    parts: Parts = {}
    if reading is not None:
        parts = core_parts(TokenizerSource.of(reading, "target").load())
    else:
        try:
            parts = core_parts(TokenizerSource.of(tokenizer, "target").load())
        except TokenizerError as error:
            parts["lacks"] = f"anydraft cannot read it: {error.__cause__ or error}"
    return {"name": type(tokenizer).__name__, **own, **parts}


def _added(tokens: Mapping[int, Any]) -> dict[str, Any]:
    return {
        "special_tokens": {str(token.content): i for i, token in tokens.items() if token.special},
        "look_alikes": tuple(str(token.content) for token in tokens.values()),
    }


def _stream(wheel: Any) -> Callable[[], Callable[[int], str]] | None:
    try:
        from tokenizers.decoders import DecodeStream
    except ImportError:  # tokenizers before 0.21
        return None

    def make() -> Callable[[int], str]:
        stream = DecodeStream(skip_special_tokens=False)
        return lambda i: stream.step(wheel, i) or ""

    return make


def core_parts(core: Tokenizer) -> Parts:
    """What a subject has of anydraft's reading."""
    return {
        "core": core,
        "token_bytes": core.bytes,
        "encode_bytes": core.encode,
        "detokenizer": lambda: Detokenizer(core),
        "retokenizer": lambda: Retokenizer(core),
        "special_tokens": {content: i for i, content in core.special_tokens.items()},
        "look_alikes": _added_of(core),
        "size": len(core),
    }


def _added_of(core: Tokenizer) -> tuple[str, ...]:
    added = (core.bytes(i).decode(errors="ignore") for i in range(len(core)) if core.kind(i) == "added")
    return (*core.special_tokens.values(), *added)
