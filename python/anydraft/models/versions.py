"""What transformers names differently from one version to the next."""

from __future__ import annotations

import inspect
from typing import Any

from torch.nn import Module
from transformers import DynamicCache

TESTED = ("4.57", "5.19", "5.23", "5.24")
"""Versions of transformers that the tests run with; ``make test-transformers VERSION=x`` runs another."""

CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")
"""What the argument that holds the cache is or was called; the first from 5.24 on."""


def cache_argument(kind: type, method: str = "forward") -> str:
    """The name under which a method of a class of models takes its cache."""
    parameters = inspect.signature(getattr(kind, method)).parameters
    return next((name for name in CACHE_NAMES if name in parameters), "past_key_values")


def cached(runner: object, cache: DynamicCache) -> dict[str, DynamicCache]:
    """The cache as an argument of a call: to a module by its own name for it, to code of our own by ours."""
    own = isinstance(runner, Module)
    return {cache_argument(type(runner)) if own else "past_key_values": cache}


def cache_of(arguments: dict[str, Any]) -> Any:
    """The cache among the arguments of a call, or ``None``."""
    return next((arguments[name] for name in CACHE_NAMES if arguments.get(name) is not None), None)


def cache_returned(output: object) -> Any:
    """The cache that a pass returns, or ``None``."""
    return next((found for name in CACHE_NAMES if (found := getattr(output, name, None)) is not None), None)
