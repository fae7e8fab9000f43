"""A transformers model and the cache of one sequence, behind the protocol of the decoding loop."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.cache import GrowingLayer, copy_into, copy_out, new_cache, shared_cache
from anydraft.models.compiled import SIZES, CompiledLean
from anydraft.models.runner import Passes, runner_of


class TransformersModel:
    """A decoder-only transformers model with the key-value cache of one sequence.

    The model itself is never changed; several of these may share one model, each with its own sequence.
    Any device, any floating dtype. Sliding-window models keep all their keys, so they can be cropped to any
    length. Tokens run without gradients, in the model's evaluation mode: a model in training mode is refused
    rather than switched, because dropout would change its law.

    Known limit: a rotary embedding of type ``"dynamic"`` or ``"longrope"`` embeds *all* tokens of a forward
    pass differently when the context outgrows the original window, so across that boundary a block of tokens
    is not embedded as its tokens one by one would be.

    Raises:
        ModelError: an encoder-decoder, a model without a language-model head, one whose state cannot be
            rolled back, or one in training mode.
    """

    def __init__(self, model: PreTrainedModel, passes: Passes = Passes()) -> None:  # noqa: B008  # frozen
        """Wrap ``model``; a compiled or PEFT-wrapped model is called as it is."""
        plain: Any = _plain(model)
        _check(plain)
        config = plain.config.get_text_config(decoder=True)
        parameters = inspect.signature(type(plain).forward).parameters
        self._given = model, passes
        self.runner = runner_of(model, passes)
        """What is called for a pass: the model, or something with its weights."""
        self.plain = plain
        self._keeps_logits = "logits_to_keep" in parameters
        self.takes_positions = "position_ids" in parameters
        self._vocab_size = _width(plain, config.vocab_size)
        self._readable = int(plain.get_input_embeddings().weight.shape[0])
        self._window = getattr(config, "max_position_embeddings", None)
        self._device = _input_device(plain)
        self._cache = self._new_cache()
        self._length = 0

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the embedding."""
        dtype: torch.dtype = self.plain.get_input_embeddings().weight.dtype
        return dtype

    @property
    def vocab_size(self) -> int:
        """Width of the logits."""
        return self._vocab_size

    @property
    def window(self) -> int | None:
        """The config's ``max_position_embeddings``, in tokens; ``None`` if the config has none."""
        return self._window

    @property
    def device(self) -> torch.device:
        """Where the embedding lies: ids go in and logits come out there."""
        return self._device

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return self._length

    @torch.no_grad()  # not inference_mode: a model may renew its own buffers, which must stay trainable
    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """Append tokens to the context and return logits.

        Shapes: ``ids`` int64 ``[n]`` on :attr:`device`, n >= keep >= 1; result ``[keep, vocab_size]`` in the
        model's dtype: the logits after each of the last ``keep`` tokens.

        If the model raises, the cache is emptied (:attr:`length` 0) and the error goes on.

        Raises:
            ArgumentError: wrong shape, or an id outside the model's vocabulary. Ids are checked where that
                costs no device synchronisation: always on a CPU, elsewhere at the start of a sequence.
            ModelError: the model was put in training mode, or returned no logits of the announced width.
        """
        self.check(ids, keep)
        start, n = self._length, len(ids)
        positions = torch.arange(start, start + n, device=ids.device)[None] if self.takes_positions else None
        try:
            logits = self.run(ids[None], self._cache, keep, position_ids=positions)[0]
        except BaseException:
            self._cache = self._new_cache()
            self._length = 0
            raise
        self._length = start + n
        if logits.shape != (keep, self._vocab_size):
            raise ModelError(
                f"got logits of shape {list(logits.shape)} from {type(self.plain).__name__}; "
                f"expected [{keep}, {self._vocab_size}]"
            )
        return logits

    def check(self, ids: Tensor, keep: int) -> None:
        """Raise what :meth:`advance` raises for its arguments."""
        n = ids.shape[0] if ids.dim() == 1 else 0
        if not 1 <= keep <= n:
            raise ArgumentError(
                f"got ids of shape {list(ids.shape)} and keep={keep}; expected ids [n] with n >= keep >= 1"
            )
        if self.plain.training:
            raise _in_training(self.plain)
        if self._length == 0 or ids.device.type == "cpu":
            self._check_ids(ids)

    def run(self, ids: Tensor, cache: Any, keep: int, **arguments: Any) -> Tensor:
        """One forward pass over ``ids`` int64 ``[B, n]``: the last ``keep`` logits ``[B, keep, V]``."""
        if self._keeps_logits:
            arguments["logits_to_keep"] = keep
        output = self.runner(
            input_ids=ids,
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
            **{name: value for name, value in arguments.items() if value is not None},
        )
        logits: Tensor = output.logits[:, -keep:]
        return logits if logits.device == self._device else logits.to(self._device)

    def renew(self) -> None:
        """Look at the model's weights again: a decode begins on what was read before."""
        self.runner = runner_of(*self._given)

    def warm(self) -> None:
        """Have passes compiled now that are to be compiled, so that none that is timed waits for it."""
        if not isinstance(self.runner, CompiledLean) or self._length:
            return
        for n in (SIZES[-1] + 1, *SIZES):
            self.advance(torch.zeros(n, dtype=torch.int64, device=self._device))
        self.crop(0)

    @torch.no_grad()
    def branch(self, ids: Tensor) -> Tensor:
        """Look at several next tokens in one pass; the context and its cache stay as they were.

        Shapes: ``ids`` int64 ``[m]`` on :attr:`device`; result ``[m, vocab_size]``: the logits after the
        context and each of ``ids`` alone.

        Raises:
            ArgumentError: there is no context yet.
        """
        if self._length == 0:
            raise ArgumentError("got tokens to branch into before any context; call advance first")
        cache = shared_cache(self._cache)
        if cache is None:
            return torch.cat([self._peek(ids[i : i + 1]) for i in range(len(ids))])
        positions = (
            torch.full((len(ids), 1), self._length, device=ids.device) if self.takes_positions else None
        )
        return self.run(ids[:, None], cache, 1, position_ids=positions)[:, -1]

    @property
    def cache(self) -> Any:
        """transformers' cache object with all that was advanced."""
        return self._cache

    def adopt(self, cache: Any, padding: int = 0) -> None:
        """Start from a copy of what a cache of transformers' own holds after its padding, if anything."""
        self._cache = self._new_cache()
        self._length = copy_into(self._cache, cache, padding)

    def give_back(self, cache: Any) -> Any:
        """Fill a cache of transformers' own with all that was advanced, and return it."""
        copy_out(self._cache, cache)
        return cache

    def _new_cache(self) -> Any:
        return new_cache(self.plain, getattr(self.runner, "layer_of", GrowingLayer))

    def _peek(self, token: Tensor) -> Tensor:
        length = self._length
        logits = self.advance(token)
        self.crop(length)
        return logits

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` cached tokens; nothing happens if fewer are cached.

        Raises:
            ArgumentError: ``length`` is negative.
        """
        if length < 0:
            raise ArgumentError(f"got a crop to {length} tokens; expected 0 or more")
        surplus = self._length - length
        if surplus > 0:
            self._cache.crop(-surplus)  # a negative number means "this many fewer" in every version
            self._length = length

    def _check_ids(self, ids: Tensor) -> None:
        low, high = torch.stack(torch.aminmax(ids)).tolist()
        if low < 0 or high >= self._readable:
            raise ArgumentError(
                f"got token id {low if low < 0 else high}; expected ids from 0 to {self._readable - 1}, the "
                f"vocabulary of {type(self.plain).__name__}. Is this the model's own tokenizer?"
            )


def _plain(model: Any) -> PreTrainedModel:
    """The transformers model inside a compiled or PEFT-wrapped one."""
    model = getattr(model, "_orig_mod", model)
    base = getattr(model, "get_base_model", None)
    plain = base() if callable(base) else model
    if not isinstance(plain, PreTrainedModel):
        raise ModelError(
            f"got a {type(plain).__name__}; expected a transformers causal language model, "
            "as AutoModelForCausalLM.from_pretrained returns"
        )
    return plain


def _check(model: Any) -> None:
    name = type(model).__name__
    if model.config.is_encoder_decoder:
        raise ModelError(
            f"got the encoder-decoder {name}; expected a decoder-only model (AutoModelForCausalLM)"
        )
    if model.get_output_embeddings() is None:
        raise ModelError(
            f"got {name}, which has no language-model head; load the model with AutoModelForCausalLM"
        )
    if model.training:
        raise _in_training(model)


def _in_training(model: PreTrainedModel) -> ModelError:
    return ModelError(
        f"got {type(model).__name__} in training mode, where dropout makes its answers random; "
        "expected evaluation mode. Call model.eval() first."
    )


def _width(model: Any, fallback: int) -> int:
    """Columns of the logits; a quantised head has a packed weight, so ask for its declared width."""
    width = getattr(model.get_output_embeddings(), "out_features", None)
    return width if isinstance(width, int) else int(fallback)


def _input_device(model: Any) -> torch.device:
    device: torch.device = model.get_input_embeddings().weight.device
    if device.type == "meta":
        raise ModelError(
            f"got {type(model).__name__} with its embedding on the meta device (not loaded or off-loaded); "
            "expected loaded weights"
        )
    return device
