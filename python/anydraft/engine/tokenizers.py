"""The tokenizer of a model: the one that was given, or that of the model's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from anydraft.bridge.protocols import AnyTokenizer
from anydraft.errors import ArgumentError
from anydraft.loading.folders import load_tokenizer
from anydraft.models.llama_cpp.objects import is_llama

if TYPE_CHECKING:
    from llama_cpp import Llama
    from torch.nn import Module

AnyModel: TypeAlias = "Module | Llama"
"""A causal language model of transformers, or one that llama.cpp runs."""


def tokenizer_of(model: Any, given: AnyTokenizer | None, role: str) -> AnyTokenizer:
    """``given``, or the tokenizer in the file of a model that llama.cpp runs.

    Raises:
        ArgumentError: neither.
        ModelFileError: the file's tokenizer cannot be read.
    """
    if given is not None:
        return given
    if not is_llama(model):
        raise ArgumentError(
            f"got no {role}_tokenizer; expected the tokenizer of {type(model).__name__}: only that of a GGUF "
            "file which llama.cpp runs may be left out"
        )
    tokenizer: AnyTokenizer = load_tokenizer(model.model_path)
    return tokenizer
