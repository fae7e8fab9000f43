"""Prompts of more than ids: pictures and sounds, which a model reads in its own way.

The prompt is one pass of the model as its own ``generate`` prepares it, padding included. What follows is
plain text behind it: the keys and values are taken over into our caches, and positions go on as those of the
model would (multimodal rotary positions count a picture by its sides, not by its tokens).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.faithful import near, text, tried_with, way_of
from anydraft.models.growing import growing_of
from anydraft.models.kv_cache import copy_into, new_cache
from anydraft.models.proven import PICTURES
from anydraft.models.token_types import token_types_of
from anydraft.models.versions import CACHE_NAMES, cache_argument

_STEPS = 3
"""Tokens that a class is tried with behind its first picture, if it is not one of the proven ones."""

_PLACEHOLDER = re.compile(r"(image|video|audio|speech|vision|media)\w*token_(id|index)$")


def reads_more(model: PreTrainedModel) -> bool:
    """Whether a model takes pictures or sounds beside ids, and says how its positions go on behind them."""
    kinds = getattr(type(model), "input_modalities", ())
    named = {kinds} if isinstance(kinds, str) else set(kinds or ())
    return bool(named - {"text"}) and hasattr(model, "_prepare_position_ids_for_generation")


def placeholders(model: PreTrainedModel) -> frozenset[int]:
    """Ids that stand in a prompt for pictures and sounds; a draft is not shown them."""
    return frozenset(_named(model.config.to_dict()))


def _named(config: Mapping[str, Any]) -> list[int]:
    inner = [i for value in config.values() if isinstance(value, Mapping) for i in _named(value)]
    own = [value for key, value in config.items() if _PLACEHOLDER.search(str(key))]
    return [*inner, *(value for value in own if isinstance(value, int))]


class Read(NamedTuple):
    """What a model has read of one row."""

    cache: DynamicCache
    """Of all rows, padded."""
    row: int
    padding: int
    logits: Tensor
    """``[V]``: after the last token."""
    offset: Tensor
    """int64 ``[]``, or ``[A]`` for a model of A positions a token: behind the prompt, token i has
    position i + offset."""

    def fill(self, ours: DynamicCache) -> int:
        """Put it into an empty cache of ours; the number of tokens."""
        return copy_into(ours, self.cache, self.padding, self.row)


class Prefill:
    """The prompts of a decode with all that belongs to them, read in one pass when they are needed."""

    def __init__(
        self, model: PreTrainedModel, input_ids: Tensor, mask: Tensor, arguments: Mapping[str, Any]
    ) -> None:
        """``input_ids`` int64 and ``mask`` bool ``[B, L]``; ``arguments``: as ``generate`` prepares them.

        Raises:
            ModelError: the model changes its rotary scales with the length of the text.
        """
        way = way_of(model)
        if growing_of(model) is not None or way.own or way.singly:
            raise ModelError(
                f"got pictures or sounds for {type(model).__name__}, whose rotary scales change with the "
                "length of the text, or which reads one token a pass; expected text alone. Leave anydraft "
                "out for prompts of another kind"
            )
        self._model = model
        self._ids = input_ids
        self._named = next(
            (name for name in CACHE_NAMES if arguments.get(name) is not None), cache_argument(type(model))
        )
        left_out = {*CACHE_NAMES, "use_cache", "output_hidden_states", "output_attentions"}
        self._arguments = {name: value for name, value in arguments.items() if name not in left_out}
        self.lengths: list[int] = mask.sum(-1).tolist()
        """Tokens of each row, without its padding."""
        self._waiting: dict[int, Read] = {}

    def rows(self) -> list[RowPrefill]:
        """One for each row."""
        return [RowPrefill(self, row, length) for row, length in enumerate(self.lengths)]

    def read(self, row: int) -> Read:
        """What the model has read of a row; it reads all rows again when one is asked for twice."""
        if row not in self._waiting:
            self._waiting = dict(enumerate(self._pass()))
        return self._waiting.pop(row)

    @torch.no_grad()
    def _pass(self) -> list[Read]:
        model, ids = self._model, self._ids.to(self._model.device)
        cache = DynamicCache(config=model.config.get_text_config(decoder=True))
        arguments = {**self._arguments, "use_cache": True, self._named: cache}
        output = self._forward(ids, arguments, is_first_iteration=True)
        self._check(cache)
        following = self._after(output, arguments)
        longer = torch.cat((ids, ids[:, -1:]), 1)
        step = self._prepared(longer, following, next_sequence_length=1, is_first_iteration=False)
        offsets = self._offsets(step.get("position_ids"))
        reads = [
            Read(cache, row, ids.shape[1] - length, output.logits[row, -1], offset)
            for row, (length, offset) in enumerate(zip(self.lengths, offsets, strict=True))
        ]
        said = tried_with(
            model,
            f"blocks behind {sorted(self._arguments)}",
            PICTURES,
            lambda: self._verdict(reads[0], following),
        )
        if said:
            raise ModelError(said)
        return reads

    def _prepared(self, ids: Tensor, arguments: Mapping[str, Any], **how: Any) -> dict[str, Any]:
        generating: Any = self._model
        prepared: dict[str, Any] = generating.prepare_inputs_for_generation(ids, **how, **arguments)
        return prepared

    def _forward(self, ids: Tensor, arguments: Mapping[str, Any], **how: Any) -> Any:
        return self._model(**self._prepared(ids, arguments, **how), return_dict=True)

    def _after(self, output: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of the token that follows."""
        generating: Any = self._model
        following: dict[str, Any] = generating._update_model_kwargs_for_generation(output, dict(arguments))
        return following

    def _check(self, cache: DynamicCache) -> None:
        """Raise :class:`ModelError` for a cache that holds more or less than the prompt's keys and values."""
        length = self._ids.shape[1]
        for layer in cache.layers:
            if hasattr(layer, "recurrent_states"):
                continue
            keys: Any = getattr(layer, "keys", None)
            held = keys is not None and (
                keys.shape[-2] == length
                if type(layer) is DynamicLayer
                else type(layer) is DynamicSlidingWindowLayer
            )
            if not held and type(layer).__name__ != "DummyLayer":
                raise ModelError(
                    f"got pictures or sounds for {type(self._model).__name__}, which keeps them in a cache "
                    "apart from the text; expected a model that reads them as tokens. Leave "
                    "anydraft out for such prompts"
                )

    def _offsets(self, positions: Tensor | None) -> list[Tensor]:
        """How far the positions of each row are from the count of its tokens, behind its prompt."""
        device, rows = self._model.device, len(self.lengths)
        if positions is None:
            return [torch.zeros((), dtype=torch.int64, device=device)] * rows
        next_ones = positions[..., -1].to(device).expand(*positions.shape[:-2], rows)
        return list((next_ones - torch.tensor(self.lengths, device=device)).unbind(-1))

    def _verdict(self, read: Read, arguments: dict[str, Any]) -> str:
        """Why a block behind the first row's prompt is not what plain decoding says; empty if it is."""
        model, name = self._model, type(self._model).__name__
        following = text(model)[:_STEPS]
        ours = new_cache(model)
        length = read.fill(ours)
        arguments = {**arguments, self._named: copy.deepcopy(read.cache)}
        ids, logits = self._ids.to(model.device), []
        for token in following:
            ids = torch.cat((ids, token.expand(len(ids), 1)), 1)
            output = self._forward(ids, arguments, next_sequence_length=1, is_first_iteration=False)
            logits.append(output.logits[read.row, -1])
            arguments = self._after(output, arguments)
        found = model(
            input_ids=following[None],
            position_ids=positions_at(length, _STEPS, read.offset)[..., None, :],
            use_cache=True,
            return_dict=True,
            **{cache_argument(type(model)): ours},
        ).logits[0]
        if near(found, torch.stack(logits)):
            return ""
        return (
            f"got pictures or sounds for {name}, whose logits for several tokens behind them are not those "
            "that its generate computes one by one; expected text alone. Leave anydraft "
            "out for prompts of another kind"
        )


class RowPrefill(NamedTuple):
    """The beginning of one row."""

    whole: Prefill
    row: int
    length: int
    """Tokens that are read by it."""

    def read(self) -> Read:
        """See :meth:`Prefill.read`."""
        return self.whole.read(self.row)


class Given(NamedTuple):
    """What a processor or a tokenizer of transformers made of one prompt."""

    ids: list[int]
    prefill: RowPrefill | None
    """What reads them, if there is more than ids and their types."""
    token_types: Tensor | None
    """int64 ``[n]``: their types, if the model reads some and no ``prefill`` does."""


def prefill_of(model: PreTrainedModel, inputs: Mapping[str, Any]) -> Given:
    """How a model reads what was made of one prompt.

    Raises:
        ArgumentError: several rows, padding after or between tokens, or what the model does not take.
        ModelError: as for :class:`Prefill`.
    """
    ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
    if not isinstance(ids, Tensor) or ids.dim() != 2 or len(ids) != 1:
        shape = list(ids.shape) if isinstance(ids, Tensor) else type(ids).__name__
        raise ArgumentError(
            f"got inputs with input_ids {shape}; expected those of one prompt as tensors, [1, n], as "
            "processor(..., return_tensors='pt') makes them"
        )
    kept = torch.ones_like(ids[0], dtype=torch.bool) if mask is None else mask[0].bool()
    if not bool(kept[-1]) or bool((kept[1:] < kept[:-1]).any()):
        raise ArgumentError("got inputs with padding after or between tokens; expected one prompt without")
    more = sorted(set(inputs) - {"input_ids", "attention_mask", "token_type_ids"})
    listed: list[int] = ids[0, kept].tolist()
    if not more:
        types = token_types_of(model, inputs.get("token_type_ids"), ids)
        return Given(listed, None, None if types is None else types[0, kept.to(types.device)])
    if not reads_more(model):
        raise ArgumentError(
            f"got inputs with {', '.join(more)} for {type(model).__name__}; expected input_ids alone, or a "
            "model of transformers 5.19 or newer that reads pictures or sounds"
        )
    prefill = Prefill(model, ids[:, kept], kept[kept][None], _prepared_by_generate(model, inputs, kept))
    return Given(listed, prefill.rows()[0], None)


def _prepared_by_generate(model: PreTrainedModel, inputs: Mapping[str, Any], kept: Tensor) -> dict[str, Any]:
    """The arguments that ``generate`` hands to a decoding method; it may have encoded the pictures."""
    found: dict[str, Any] = {}

    def decode(_: object, ids: Tensor, *__: object, **given: Any) -> Tensor:
        kept_out = {"logits_processor", "stopping_criteria", "generation_config"}
        found.update({name: value for name, value in given.items() if name not in kept_out})
        return ids

    length = len(kept)
    cut = {
        name: value[:, kept] if isinstance(value, Tensor) and value.shape[:2] == (1, length) else value
        for name, value in inputs.items()
    }
    generating: Any = model
    how = {"max_new_tokens": 1, "num_beams": 1, "do_sample": False, "num_return_sequences": 1}
    generating.generate(**cut, **how, custom_generate=decode)
    return found


def positions_at(start: int, n: int, offset: Tensor) -> Tensor:
    """int64 ``[n]``, or ``[A, n]``: the positions from the ``start``-th token on; see :attr:`Read.offset`."""
    return torch.arange(start, start + n, device=offset.device) + offset[..., None]
