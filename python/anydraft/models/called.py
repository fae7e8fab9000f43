"""A transformers model as it is called: what it takes, what it returns, on which device."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from anydraft.errors import ArgumentError
from anydraft.models.base import Passes
from anydraft.models.faithful import takes_positions, way_of
from anydraft.models.growing import growing_of
from anydraft.models.loaded import check, device_of, embedding_of, plain_of, width_of
from anydraft.models.versions import cache_argument, cache_returned


class CalledModel:
    """A decoder-only model, and what runs its passes. It knows nothing of what was read before.

    Raises:
        ModelError: an encoder-decoder, a model without a language-model head, one that does not read blocks
            as it reads tokens, or one in training mode.
    """

    def __init__(self, model: Module, passes: Passes) -> None:
        """Wrap ``model``; a compiled or PEFT-wrapped model is called as it is."""
        plain = plain_of(model)
        check(plain)
        config = plain.config.get_text_config(decoder=True)
        self.device = device_of(plain)
        """Where the embedding lies: ids go in and logits come out there."""
        self.way = way_of(plain)
        """How it reads behind what is cached."""
        self.given = model, passes
        """The model as the user has it, and what was asked to run it."""
        self.runner = passes.runner(model)
        """What is called for a pass: the model, or something with its weights."""
        self.plain = plain
        self._cache_named = cache_argument(type(plain))
        self._keeps_logits = "logits_to_keep" in inspect.signature(type(plain).forward).parameters
        self.takes_positions = takes_positions(plain)
        self.growing = growing_of(plain)
        """How rotary scales change with the length of the text, if they do."""
        self.vocab_size = width_of(plain, config.vocab_size)
        """Width of the logits."""
        self._readable = int(embedding_of(plain).shape[0])
        window = getattr(config, "max_position_embeddings", None)
        if window is not None and window <= 0:
            window = None
        self.window: int | None = self.growing.window(window) if self.growing else window
        """The config's ``max_position_embeddings``, in tokens; ``None`` if the config has none."""

    @property
    def cache_argument(self) -> str:
        """Under which name :attr:`runner` takes the cache; a lean form has a name of its own."""
        return self._cache_named if isinstance(self.runner, Module) else "past_key_values"

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the embedding; of what it gives, if it is packed."""
        dtype = embedding_of(self.plain).dtype
        return dtype if dtype.is_floating_point else self.plain.dtype

    def run(self, ids: Tensor, cache: Any, keep: int, **arguments: Any) -> Tensor:
        """One forward pass over ``ids`` int64 ``[B, n]``: the last ``keep`` logits ``[B, keep, V]``."""
        return self.read(ids, cache, keep, **arguments)[0]

    def read(self, ids: Tensor, cache: Any, keep: int, **arguments: Any) -> tuple[Tensor, Any]:
        """The same, and the cache that the model returns."""
        if self._keeps_logits:
            arguments["logits_to_keep"] = keep
        output = self.runner(
            input_ids=ids,
            **{self.cache_argument: cache},
            use_cache=True,
            return_dict=True,
            **{name: value for name, value in arguments.items() if value is not None},
        )
        return self.on_device(output.logits[:, -keep:]), cache_returned(output)

    def on_device(self, logits: Tensor) -> Tensor:
        """Logits where ids go in: a model in parts may make them elsewhere."""
        return logits if logits.device == self.device else logits.to(self.device)

    def check_ids(self, ids: Tensor) -> None:
        """Raise :class:`ArgumentError` for an id outside the vocabulary; it waits for the device."""
        if not len(ids):
            return
        low, high = torch.stack(torch.aminmax(ids)).tolist()
        if low < 0 or high >= self._readable:
            raise ArgumentError(
                f"got token id {low if low < 0 else high}; expected ids from 0 to {self._readable - 1}, the "
                f"vocabulary of {type(self.plain).__name__}. Is this the model's own tokenizer?"
            )


def types_at(types: Tensor, start: int, n: int) -> Tensor:
    """int64 ``[n]``: types of tokens from position ``start`` on; the last one holds for all after it."""
    return types[torch.arange(start, start + n, device=types.device).clamp(max=len(types) - 1)]
