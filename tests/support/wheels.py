"""The real tokenizers twice: as anydraft reads them, and as the installed wheels do.

What a wheel says is the oracle. Its token bytes are worked out here, in plain Python, from the files' own
notation (GPT-2's alphabet, ``▁``, ``<0xNN>``), and a test compares them with the wheel's own ``decode``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import pytest
import tokenizers

import real
from anydraft import Tokenizer

SPACE = "▁"


class Wheel(Protocol):
    """What a test asks of an installed tokenizer."""

    token_bytes: dict[int, bytes]
    """The bytes of every token that stands for bytes."""
    specials: set[int]

    def encode(self, text: str) -> list[int]:
        """The ids of a text without control tokens; a text that looks like one is text."""

    def decode_one(self, token_id: int) -> bytes | str:
        """What the wheel itself says of one token: its bytes, or its text with U+FFFD where it is none."""


def gpt2_alphabet() -> dict[str, int]:
    """The byte of every character of GPT-2's alphabet."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


class HuggingFace:
    """A tokenizer of the ``tokenizers`` wheel."""

    def __init__(self, text: str) -> None:
        self._wheel = tokenizers.Tokenizer.from_str(text)
        self._wheel.encode_special_tokens = True
        self._wheel.no_padding()
        self._wheel.no_truncation()
        data = json.loads(text)
        model, added = data["model"], data["added_tokens"]
        self._fallback = bool(model.get("byte_fallback"))
        self._alphabet = None if SPACE in json.dumps(data["decoder"], ensure_ascii=False) else gpt2_alphabet()
        self.specials = {token["id"] for token in added if token["special"]}
        self.specials |= {i for token, i in model["vocab"].items() if token == model.get("unk_token")}
        self.token_bytes = {token["id"]: self._added_bytes(token["content"]) for token in added}
        for token, i in model["vocab"].items():
            if i not in self.token_bytes:
                self.token_bytes[i] = self._model_bytes(token)
        for i in self.specials:
            self.token_bytes.pop(i, None)
        self._dummy_prefix = self._wheel.encode("a", add_special_tokens=False).tokens == [SPACE + "a"]
        self._anchor = self._wheel.token_to_id("a")

    def _model_bytes(self, token: str) -> bytes:
        if self._alphabet is not None:
            return bytes(self._alphabet[char] for char in token)
        if self._fallback and re.fullmatch(r"<0x[0-9A-F]{2}>", token):
            return bytes([int(token[3:5], 16)])
        return token.replace(SPACE, " ").encode()

    def _added_bytes(self, content: str) -> bytes:
        return (content if self._alphabet is not None else content.replace(SPACE, " ")).encode()

    def encode(self, text: str) -> list[int]:
        """A tokenizer that puts a space before a text that has none sees only texts that have one."""
        if not self._dummy_prefix:
            return self._wheel.encode(text, add_special_tokens=False).ids
        if text.startswith(" "):
            return self._wheel.encode(text, add_special_tokens=False).ids
        # "a" and a newline are never one token: what follows is encoded as in the middle of a text
        ids = self._wheel.encode("a\n" + text, add_special_tokens=False).ids
        return ids[2:]

    def decode_one(self, token_id: int) -> str:
        """After a letter, because some decoders remove the space at the start of a text."""
        text = self._wheel.decode([self._anchor, token_id], skip_special_tokens=False)
        return text.removeprefix("a")


class Tiktoken:
    """An encoding of the ``tiktoken`` wheel."""

    def __init__(self, parts: real.Tiktoken) -> None:
        import tiktoken

        self._wheel = tiktoken.Encoding(
            "real",
            pat_str=parts.pattern,
            mergeable_ranks=dict(parts.ranks),
            special_tokens=dict(parts.specials),
        )
        self.token_bytes = {i: token for token, i in parts.ranks}
        self.specials = {i for _, i in parts.specials}

    def encode(self, text: str) -> list[int]:
        return self._wheel.encode_ordinary(text)

    def decode_one(self, token_id: int) -> bytes:
        return self._wheel.decode_single_token_bytes(token_id)


@dataclass(frozen=True)
class Pair:
    """One tokenizer: ours and the wheel's."""

    name: str
    ours: Tokenizer
    wheel: Any


@cache
def pair(name: str) -> Pair:
    """A real tokenizer; skips the test if its package is not installed."""
    if missing := real.missing(name):
        pytest.skip(f"the tokenizer {name} is not installed: pip install {' '.join(missing)}")
    source = real.TOKENIZERS[name]()
    if isinstance(source, real.Json):
        return Pair(name, Tokenizer.from_json(source.text), HuggingFace(source.text))
    return Pair(
        name, Tokenizer.from_tiktoken(source.ranks, source.specials, source.pattern), Tiktoken(source)
    )
