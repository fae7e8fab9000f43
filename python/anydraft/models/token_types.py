"""Types of tokens (``token_type_ids``), which some models read beside the ids."""

from __future__ import annotations

import inspect

from torch import Tensor
from transformers import PreTrainedModel

from anydraft.errors import ArgumentError
from anydraft.models.faithful import way_of


def token_types_of(model: PreTrainedModel, given: object, ids: Tensor) -> Tensor | None:
    """Types of the tokens ``ids`` int64 ``[B, L]``, of the same shape; ``None`` if the model reads none.

    Raises:
        ArgumentError: not one type for each id, or a model that tells by them which tokens of a prompt see
            each other.
    """
    if given is None or "token_type_ids" not in inspect.signature(type(model).forward).parameters:
        return None
    if not isinstance(given, Tensor) or given.shape != ids.shape:
        got = list(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ArgumentError(
            f"got token_type_ids {got}; expected a tensor {list(ids.shape)}, as input_ids is. Hand over "
            "those that the tokenizer made with the ids, or leave them out"
        )
    if way_of(model).shift:
        raise ArgumentError(
            f"got token_type_ids for {type(model).__name__} without pictures, with which it reads a "
            "prompt in another way; expected ids alone, or all that its processor makes. Leave them out"
        )
    return given
