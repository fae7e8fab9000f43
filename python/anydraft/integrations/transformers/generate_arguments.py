"""The arguments of a call of ``generate``, checked: what cannot be served is refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sized
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    PreTrainedModel,
    StaticCache,
)
from transformers import __version__ as VERSION  # noqa: N812

from anydraft.errors import ArgumentError
from anydraft.models.kv_cache import is_filled
from anydraft.models.prefill import reads_more
from anydraft.models.versions import CACHE_NAMES, TESTED

_MODES = {"greedy_search", "sample"}
_UNDERSTOOD = {
    "attention_mask",
    "position_ids",
    *CACHE_NAMES,
    "use_cache",
    "logits_to_keep",
    "cache_position",
    "token_type_ids",
    "output_hidden_states",
    "output_attentions",
}
"""Arguments of a model's forward pass that decoding itself takes care of."""


def check_mode(config: GenerationConfig) -> None:
    """Raise :class:`ArgumentError` unless one text is continued by greedy decoding or sampling."""
    mode = config.get_generation_mode()
    if mode.value not in _MODES:
        raise ArgumentError(
            f"got a generation config that asks for {mode.value}; expected greedy decoding or sampling "
            "(num_beams=1, and no penalty_alpha, dola_layers or prompt_lookup_num_tokens). Change it, or "
            "leave custom_generate out"
        )


def check_arguments(model: PreTrainedModel, model_kwargs: dict[str, Any]) -> bool:
    """Whether there are pictures or sounds beside the ids, which the model reads and the draft does not.

    Raises:
        ArgumentError: an argument that the model does not take so, or a version of transformers that does not
            tell how positions go on behind it.
    """
    usual = inspect.signature(type(model).forward).parameters
    strange = sorted(
        name
        for name, value in model_kwargs.items()
        if name not in _UNDERSTOOD and not _nothing(value, usual[name].default if name in usual else None)
    )
    if strange and not reads_more(model):
        raise ArgumentError(
            f"got {', '.join(strange)}; expected token ids alone, or pictures and sounds for a model of "
            "transformers 5.19 or newer that reads them. Leave custom_generate out for prompts of another "
            f"kind. If you passed no such argument, generate of transformers {VERSION} has added it: tested "
            f"with {', '.join(TESTED)}"
        )
    return bool(strange)


def _nothing(value: object, usual: object) -> bool:
    """Whether an argument says nothing: the ``usual`` value, or a container or tensor with nothing in it."""
    if isinstance(value, Tensor):
        return value.numel() == 0
    if isinstance(value, Mapping):
        return all(_nothing(inner, None) for inner in value.values())
    if isinstance(value, Sized):
        return len(value) == 0
    return value is None or value is False or (isinstance(value, (bool, int, float)) and value == usual)


def mask_of(input_ids: Tensor, given: Tensor | None) -> Tensor:
    """bool ``[B, L]``: which ids are no padding; raises :class:`ArgumentError` unless that is on the left."""
    if input_ids.dim() != 2 or input_ids.shape[1] == 0:
        raise ArgumentError(
            f"got input_ids of shape {list(input_ids.shape)}; expected [rows, length] with at least one "
            "token each. Prompts as inputs_embeds cannot be read by a draft"
        )
    if given is None:
        return torch.ones_like(input_ids, dtype=torch.bool)
    mask = given.to(input_ids.device).bool()
    if bool((mask[:, 1:] < mask[:, :-1]).any()) or not bool(mask[:, -1].all()):
        raise ArgumentError(
            "got an attention_mask with padding after or between tokens; expected padding on the left only. "
            "Set tokenizer.padding_side = 'left'"
        )
    return mask


def check_positions(mask: Tensor, given: Tensor | None) -> None:
    """Raise :class:`ArgumentError` for positions that are not those of the ids that a mask keeps."""
    if given is None:
        return
    usual = (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -given.shape[-1] :]
    seen = torch.where(mask[:, -given.shape[-1] :], given.to(mask.device), usual)
    if not torch.equal(seen, usual.expand_as(seen)):  # models of pictures have some for each direction
        raise ArgumentError(
            "got position_ids of your own; expected the usual ones, 0, 1, 2, ... after the padding. "
            "Leave them out"
        )


def cache_of_call(given: object, config: GenerationConfig, rows: int) -> DynamicCache | None:
    """The cache to start from and to fill, or ``None`` for one of our own."""
    if given is None:
        return None
    if isinstance(given, StaticCache) and config.cache_implementation is not None:
        return None  # made for this call, and empty
    if type(given) is not DynamicCache or getattr(given, "offloading", False):
        raise ArgumentError(
            f"got past_key_values or a cache_implementation that makes a {type(given).__name__}"
            f"{' that is offloaded' if getattr(given, 'offloading', False) else ''}; expected a plain "
            "DynamicCache. Rejected tokens must be taken back from it without a loss. Leave it out"
        )
    if rows > 1 and is_filled(given):
        raise ArgumentError(
            f"got filled past_key_values for {rows} rows; expected one row, because rows accept different "
            "lengths. Call generate once a row, or with past_key_values that are empty"
        )
    return given
