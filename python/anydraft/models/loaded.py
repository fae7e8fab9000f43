"""What can be told of a model of transformers as a user has loaded it, without a pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from transformers import PreTrainedModel

from anydraft.errors import ModelError
from anydraft.models.base import MASKS

_MOST = 63
"""Masks: more than any block is long."""


def is_compiled(model: object) -> bool:
    """By ``torch.compile(model)``, by ``model.compile()``, or its ``forward`` by ``torch.compile``."""
    compiled = hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None
    return compiled or hasattr(getattr(model, "forward", None), "_torchdynamo_orig_callable")


def plain_of(model: object) -> PreTrainedModel:
    """The transformers model inside a compiled or PEFT-wrapped one.

    Raises:
        ModelError: there is none, or the wrapper adds tokens of its own to every text.
    """
    model = getattr(model, "_orig_mod", model)
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        raise ModelError(
            f"got a {type(model).__name__} that puts virtual tokens before a text (prompt or prefix tuning), "
            "which a cache that is cut back would lose; expected adapters of weights, such as LoRA"
        )
    base = getattr(model, "get_base_model", None)
    plain = base() if callable(base) else model
    if not isinstance(plain, PreTrainedModel):
        raise ModelError(
            f"got a {type(plain).__name__}; expected a transformers causal language model, "
            "as AutoModelForCausalLM.from_pretrained returns"
        )
    return plain


def check(model: PreTrainedModel) -> None:
    """Raise :class:`ModelError` for what can be told from a model without a pass."""
    name = type(model).__name__
    if model.config.is_encoder_decoder:
        raise ModelError(
            f"got the encoder-decoder {name}; expected a decoder-only model (AutoModelForCausalLM)"
        )
    if head_of(model) is None:
        raise ModelError(
            f"got {name}, which has no language-model head; load the model with AutoModelForCausalLM"
        )
    if not hasattr(model.get_input_embeddings(), "weight"):
        raise ModelError(
            f"got {name}, which has several tables of tokens (codebooks); expected a model of one text"
        )
    if model.training:
        raise in_training(model)


def in_training(model: PreTrainedModel) -> ModelError:
    """The error for a model in training mode."""
    return ModelError(
        f"got {type(model).__name__} in training mode, where dropout makes its answers random; "
        "expected evaluation mode. Call model.eval() first."
    )


def width_of(model: PreTrainedModel, fallback: int) -> int:
    """Columns of the logits; a quantised head has a packed weight, so ask for its declared width."""
    width = getattr(head_of(model), "out_features", None)
    return width if isinstance(width, int) else int(fallback)


def head_of(model: Module) -> Module | None:
    """What makes logits of hidden states, if the model has it; a wrapped one passes the question on."""
    asked: Any = model
    head: Module | None = asked.get_output_embeddings()
    return head


def embedding_of(model: Module) -> Tensor:
    """The table of token embeddings ``[vocabulary, h]``; a wrapped model passes the question on."""
    asked: Any = model
    table: Tensor = asked.get_input_embeddings().weight
    return table


def device_of(model: PreTrainedModel) -> torch.device:
    """Where the embedding lies."""
    device = embedding_of(model).device
    if device.type == "meta":
        raise ModelError(
            f"got {type(model).__name__} with its embedding on the meta device (not loaded or off-loaded); "
            "expected loaded weights"
        )
    return device


def masks_of(model: PreTrainedModel) -> list[int]:
    """The ids of a model's masks, in order; none if it has not learnt to look ahead.

    What they are for: :mod:`anydraft.models.ahead`.

    Raises:
        ModelError: the configuration has an entry that is no list of token ids of the model.
    """
    config: Any = model.config.get_text_config(decoder=True)
    found = getattr(config, MASKS, None)
    if found is None:
        return []
    size = int(embedding_of(model).shape[0])
    known = isinstance(found, list) and len(found) <= _MOST
    if not known or not all(type(i) is int and 0 <= i < size for i in found):
        raise ModelError(
            f"got a configuration with {MASKS}={found!r:.80}; expected a list of ids from 0 to {size - 1}, "
            f"at most {_MOST}, one for each token that is drafted beside the next. Correct it, or take it "
            "out: then the draft goes on token by token"
        )
    return list(found)
