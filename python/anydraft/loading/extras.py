"""Packages that are not installed with anydraft alone: which extra brings each, in one sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from anydraft.errors import MissingPackageError

EXTRAS = {
    "torch": "torch",
    "transformers": "torch",
    "accelerate": "gguf",
    "gguf": "gguf",
    "llama_cpp": "llama-cpp",
    "tiktoken": "tokenizers",
    "sentencepiece": "tokenizers",
    "vllm": "vllm",
    "starlette": "serve",
    "uvicorn": "serve",
    "pydantic": "serve",
    "prometheus_client": "serve",
}
"""By the name that is imported."""


def missing(error: ImportError) -> MissingPackageError | None:
    """What to say of an import that failed; ``None`` if it is no package of an extra."""
    name = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or name not in EXTRAS:
        return None
    return MissingPackageError(
        f"this needs {name}, which is not installed: pip install 'anydraft[{EXTRAS[name]}]'", name=name
    )


def imported(module: str) -> Any:
    """A module that needs packages of an extra, imported where it is first used.

    Raises:
        MissingPackageError: one of them is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        said = missing(error)
        if said is None:
            raise
        raise said from error
