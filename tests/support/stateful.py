"""Tiny random models that keep states, of every way in which they are taken back."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import transformers

import fidelity
import shrunk

KINDS = {
    "qwen3_5_text": "replay",  # a recurrent state beside attention
    "falcon_h1": "replay",  # both in every layer
    "deepseek_v4": "replay",  # compressed keys
    "lfm2, conv": "recording",  # the last inputs of convolutions
    "mamba": "singly",  # no attention; several tokens at once forget the state
    "minimax": "own",  # a cache of its own kind
    "xlstm": "own",  # a list of tensors for every layer
}


@cache
def made(name: str) -> Any:
    """The tiny model of a name; skips the test where transformers does not have it."""
    if name not in shrunk.names():
        pytest.skip(f"transformers {transformers.__version__} does not know {name}")
    return fidelity.made(name)
