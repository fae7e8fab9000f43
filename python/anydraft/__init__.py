"""anydraft: any small model drafts for any large one, losslessly.

Names that need torch and transformers are imported when they are first used, so that ``import anydraft`` and
the tokenizer bridge stay light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anydraft._core import Detokenizer, Retokenizer, Tokenizer, __version__, common_boundaries
from anydraft.bridge import Bridge, Coverage, Usage
from anydraft.errors import (
    AnydraftError,
    ArgumentError,
    BridgeFileError,
    ModelError,
    ModelFileError,
    PairError,
    TokenizerError,
)
from anydraft.stats import Stats
from anydraft.streaming import Event, Output

if TYPE_CHECKING:
    from anydraft import drafts
    from anydraft.integrations.transformers import custom_generate
    from anydraft.planner import plan
    from anydraft.plans import Plan
    from anydraft.speculator import Speculator, Stream

__all__ = [
    "AnydraftError",
    "ArgumentError",
    "Bridge",
    "BridgeFileError",
    "Coverage",
    "Detokenizer",
    "Event",
    "ModelError",
    "ModelFileError",
    "Output",
    "PairError",
    "Plan",
    "Retokenizer",
    "Speculator",
    "Stats",
    "Stream",
    "Tokenizer",
    "TokenizerError",
    "Usage",
    "__version__",
    "common_boundaries",
    "custom_generate",
    "drafts",
    "plan",
]

_LAZY = {
    "Plan": "anydraft.plans",
    "Speculator": "anydraft.speculator",
    "Stream": "anydraft.speculator",
    "custom_generate": "anydraft.integrations.transformers",
    "plan": "anydraft.planner",
}


def __getattr__(name: str) -> Any:
    if name == "drafts":
        return import_module("anydraft.drafts")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'anydraft' has no attribute {name!r}")
