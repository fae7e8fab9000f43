"""Drafting for ``llama_cpp.Llama``. Light until :class:`LlamaDraft` is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anydraft.integrations.llama_cpp.draft import LlamaDraft

__all__ = ["LlamaDraft"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("anydraft.integrations.llama_cpp.draft"), name)
    raise AttributeError(f"module 'anydraft.integrations.llama_cpp' has no attribute {name!r}")
