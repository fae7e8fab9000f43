"""anydraft: any small model drafts for any large one, losslessly.

Names that need torch and transformers are imported when they are first used, so that ``import anydraft`` and
the tokenizer bridge stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anydraft._core import Detokenizer, Retokenizer, Tokenizer, __version__, common_boundaries
from anydraft.bridge.bridge import Bridge, Coverage, Usage
from anydraft.decoding.events import Event, Output
from anydraft.decoding.stats import Stats
from anydraft.errors import (
    AnydraftError,
    ArgumentError,
    BridgeFileError,
    MemoryFileError,
    ModelError,
    ModelFileError,
    PairError,
    TokenizerError,
)
from anydraft.loading.extras import imported
from anydraft.memory.memory import Memory

if TYPE_CHECKING:
    from anydraft import drafts
    from anydraft.decoding.stream import Stream
    from anydraft.engine.options import SamplingKeywords, SamplingOptions
    from anydraft.integrations.llama_cpp.draft import LlamaDraft as LlamaDraft
    from anydraft.integrations.transformers.method import custom_generate
    from anydraft.loading.folders import load_model, load_tokenizer
    from anydraft.planner import plan
    from anydraft.scheduling.plan import Plan
    from anydraft.speculator import Speculator

__all__ = [
    "AnydraftError",
    "ArgumentError",
    "Bridge",
    "BridgeFileError",
    "Coverage",
    "Detokenizer",
    "Event",
    "Memory",
    "MemoryFileError",
    "ModelError",
    "ModelFileError",
    "Output",
    "PairError",
    "Plan",
    "Retokenizer",
    "SamplingKeywords",
    "SamplingOptions",
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
    "load_model",
    "load_tokenizer",
    "plan",
]

_LAZY = {
    "LlamaDraft": "anydraft.integrations.llama_cpp",  # not in __all__: it needs a package of its own
    "Plan": "anydraft.scheduling.plan",
    "SamplingKeywords": "anydraft.engine.options",
    "SamplingOptions": "anydraft.engine.options",
    "Speculator": "anydraft.speculator",
    "Stream": "anydraft.decoding.stream",
    "custom_generate": "anydraft.integrations.transformers",
    "load_model": "anydraft.loading.folders",
    "load_tokenizer": "anydraft.loading.folders",
    "plan": "anydraft.planner",
}


def __getattr__(name: str) -> Any:
    if name == "drafts":
        return imported("anydraft.drafts")
    if name in _LAZY:
        return getattr(imported(_LAZY[name]), name)
    raise AttributeError(f"module 'anydraft' has no attribute {name!r}")
