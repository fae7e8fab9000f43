"""How a text is cut before it is encoded, by the name that a GGUF file gives for it.

transformers reads every byte-level tokenizer of a GGUF file with the pattern of GPT-2. Where the file names
another one that is known here, that is put in its place; the names and patterns are llama.cpp's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from anydraft.loading.gguf_header import read_header

_SINGLE_DIGITS = frozenset(
    {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"}
)
"""Every digit is a piece of its own, then the pattern of GPT-2."""


def cut_as_named(backend: Tokenizer, file: Path) -> None:
    """Have the tokenizer that was read from a GGUF file cut texts as the file says."""
    if read_header(file).get("tokenizer.ggml.pre") in _SINGLE_DIGITS:
        parts: Any = pre_tokenizers
        backend.pre_tokenizer = parts.Sequence(
            [parts.Digits(individual_digits=True), parts.ByteLevel(add_prefix_space=False, use_regex=True)]
        )
