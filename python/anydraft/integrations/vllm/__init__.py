"""Drafting for a vLLM server. Light until :class:`Proposer` or :class:`Settings` is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anydraft.integrations.vllm.proposer import Proposer, Settings

__all__ = ["Proposer", "Settings"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("anydraft.integrations.vllm.proposer"), name)
    raise AttributeError(f"module 'anydraft.integrations.vllm' has no attribute {name!r}")
