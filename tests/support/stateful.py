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
    "lfm2, conv": "recording",  # the last inputs of convolutions
    "deepseek_v4": "replay",  # compressed keys
    "mamba": "singly",  # no attention; several tokens at once forget the state
    "minimax": "own",  # a cache of its own kind
    "xlstm": "own",  # a list of tensors for every layer
}


REFUSED_BY_4 = ("falcon_h1", "mamba")
"""With version 4 of transformers, whose passes want to be told positions in the cache."""
of_5 = pytest.mark.skipif(
    transformers.__version__.startswith("4."), reason="caches with states are of version 5"
)


@cache
def made(name: str) -> Any:
    """The tiny model of a name; skips the test where transformers does not have it."""
    if name not in shrunk.names():
        pytest.skip(f"transformers {transformers.__version__} does not know {name}")
    if transformers.__version__.startswith("4.") and name in REFUSED_BY_4:
        pytest.skip(f"{name} is refused with transformers 4, as another test shows")
    return fidelity.made(name)
