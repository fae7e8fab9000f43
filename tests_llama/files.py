"""GGUF files for the tests, and what llama.cpp alone makes of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import llama_cpp
from llama_cpp import llama_cpp as api

from anydraft.bench.llama_cpp import converted
from anydraft.loading.packaged import packaged

Kind = Literal["own", "f16", "q4_0"]

TEXT = Path(__file__).with_name("test_context.py").read_text(encoding="utf-8")
"""More than 400 tokens."""


@cache
def file(name: Literal["smollm2", "gemma3"] = "smollm2", kind: Kind = "own") -> Path:
    """A packaged model as it is, or converted once by llama.cpp itself."""
    path = packaged(name)
    return path if kind == "own" else converted(path, kind)


def opened(path: Path | None = None, **options: Any) -> llama_cpp.Llama:
    """A file, opened on one thread with flash attention, where blocks and single tokens give equal logits."""
    given = {"n_ctx": 512, "n_threads": 1, "n_threads_batch": 1, "flash_attn": True} | options
    return llama_cpp.Llama(str(path or file()), verbose=False, **given)


def alone(llama: llama_cpp.Llama, ids: list[int], count: int) -> list[int]:
    """What llama.cpp writes by itself, greedily, up to its first end token."""
    found: list[int] = []
    for token in llama.generate(ids, temp=0.0):
        found.append(token)
        if len(found) == count or api.llama_vocab_is_eog(llama._model.vocab, token):
            break
    return found
