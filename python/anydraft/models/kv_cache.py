"""The key-value cache of one sequence: grows in place, keeps everything, is cropped for free.

transformers' own dynamic cache copies all keys and values at every token, and its sliding-window
layers forget keys that a rollback needs back. Here every attention layer keeps all its keys in a
store with spare room, and hands out a view. All that differs between versions of transformers'
caches is in this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from anydraft.errors import ModelError

_SPARE = 256
"""Least spare room of a store, in tokens; a longer one has a quarter of its length."""

_KEPT_AS_MADE = ("DummyLayer", "DynamicIndexedLayer")
"""Layers of newer versions that need no store of ours: the first holds nothing, both can be cropped."""

_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention", "indexed_attention", "moe", "mlp"}
"""Kinds of layers in a config whose whole state is keys and values (or nothing)."""


def roomy(length: int) -> int:
    """Places for so many tokens and more, so that a store is not moved at every one."""
    return length + max(_SPARE, length // 4)


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call, unused-ignore]
    """Keys and values of one layer: views ``[1, heads, length, head size]`` of larger stores.

    With a ``window``, all keys are kept but only those in reach of the new tokens are handed to the model, so
    a step costs what the window costs and any crop is still possible.

    :meth:`crop` is inherited: it shortens the views. What was cropped is overwritten by the next
    :meth:`update`, so no view handed out earlier may be used after that.
    """

    keys: Any
    values: Any
    key_store: Tensor
    value_store: Tensor

    def __init__(self, window: int | None = None) -> None:
        """Start empty; ``window`` is in tokens and counts the token that looks."""
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self.window = window
        self.is_sliding = window is not None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append ``[1, heads, n, head size]`` keys and values; return all that the new tokens may look at."""
        start, n = self.length, key_states.shape[-2]
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.key_store, self.value_store = self.room(key_states, n), self.room(value_states, n)
            self.is_initialized = True
        self.reserve(start + n)
        self.key_store.narrow(2, start, n).copy_(key_states)
        self.value_store.narrow(2, start, n).copy_(value_states)
        self.take(start + n)
        out_of_reach = self._out_of_reach(start)
        if out_of_reach == 0:
            return self.keys, self.values
        reach = start + n - out_of_reach
        return self.keys.narrow(2, out_of_reach, reach), self.values.narrow(2, out_of_reach, reach)

    @property
    def length(self) -> int:
        """Number of tokens held."""
        return 0 if self.keys is None else int(self.keys.shape[-2])

    def reserve(self, length: int) -> None:
        """Have places for so many tokens; the layer must hold some."""
        if length > self.key_store.shape[-2]:
            self.key_store = _moved(self.keys, self.room(self.keys, length))
            self.value_store = _moved(self.values, self.room(self.values, length))

    def take(self, length: int) -> None:
        """Hold the first ``length`` places, whatever is in them."""
        self.keys = self.key_store.narrow(2, 0, length)
        self.values = self.value_store.narrow(2, 0, length)

    def room(self, like: Tensor, length: int) -> Tensor:
        """A new store shaped like ``[1, heads, n, head size]``, for ``length`` tokens and more."""
        *lead, _, size = like.shape
        return like.new_empty((*lead, roomy(length), size))

    def get_mask_sizes(self, query: int | Tensor) -> tuple[int, int]:
        """Number of keys that the next :meth:`update` returns, and how many it leaves out before them.

        ``query`` is the number of new tokens, or (in version 4) a tensor of their positions.
        """
        n = query if isinstance(query, int) else query.shape[0]
        held = self.length
        out_of_reach = self._out_of_reach(held)
        return held + n - out_of_reach, out_of_reach

    def _out_of_reach(self, position: int) -> int:
        return 0 if self.window is None else max(0, position - self.window + 1)


def new_cache(
    model: PreTrainedModel, layer_of: Callable[[int | None], DynamicLayer] = GrowingLayer
) -> DynamicCache:
    """An empty cache for ``model``, every layer of which can be cropped to any length.

    ``layer_of`` makes an attention layer of a window, or of ``None``.

    Raises:
        ModelError: the model keeps a state that cannot be rolled back (recurrent, convolutional, compressed).
    """
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or ())
    if getattr(model, "_is_stateful", False) or kinds - _ATTENTION:
        raise _not_croppable(model)
    try:
        cache = DynamicCache(config=config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"got a {type(model).__name__}, whose configuration does not tell what its layers cache "
            f"({error}); expected a decoder-only model with one key-value cache"
        ) from error
    for i, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[i] = layer_of(None)
        elif type(layer) is DynamicSlidingWindowLayer:
            cache.layers[i] = layer_of(layer.sliding_window)
        elif type(layer).__name__ not in _KEPT_AS_MADE:
            raise _not_croppable(model)
    return cache


def copy_into(ours: DynamicCache, theirs: DynamicCache, padding: int = 0, row: int = 0) -> int:
    """Put what a cache of transformers holds of a row into an empty one of ours; the number of tokens.

    The first ``padding`` tokens are left out. A sliding window has forgotten its first keys. They are out of
    reach of all that follows: zeros stand for them.
    """
    length = int(theirs.get_seq_length())
    if length <= padding:
        return 0
    layers: Any = zip(ours.layers, theirs.layers, strict=False)
    for layer, given in layers:
        if getattr(given, "keys", None) is None:  # it reads those of another layer
            continue
        lost = length - padding - given.keys.shape[-2]  # negative: padding to be cut off
        layer.update(
            *(
                torch.nn.functional.pad(states[row : row + 1], (0, 0, lost, 0))
                for states in (given.keys, given.values)
            )
        )
    return length - padding


def copy_out(ours: DynamicCache, theirs: DynamicCache) -> None:
    """Fill a cache of transformers as plain decoding would have filled it."""
    for i, layer in enumerate(ours.layers):
        assert isinstance(layer, DynamicLayer)
        while len(theirs.layers) <= i:
            theirs.layers.append(DynamicLayer())  # type: ignore[no-untyped-call, unused-ignore]
        given: Any = theirs.layers[i]
        keys: Any = layer.keys
        values: Any = layer.values
        if isinstance(given, DynamicSlidingWindowLayer):
            given.cumulative_length = keys.shape[-2]
            keys, values = (states[:, :, -(given.sliding_window - 1) :] for states in (keys, values))
        given.dtype, given.device, given.is_initialized = keys.dtype, keys.device, True
        given.keys, given.values = keys.clone(), values.clone()


def _moved(old: Any, store: Tensor) -> Tensor:
    """Copy the cached tokens to the front of a new store."""
    store.narrow(2, 0, old.shape[-2]).copy_(old)
    return store


def _not_croppable(model: PreTrainedModel) -> ModelError:
    return ModelError(
        f"got a {type(model).__name__}, whose layers keep a state (recurrent, convolutional or compressed) "
        "that cannot be taken back when drafted tokens are rejected; expected a model whose layers are all "
        "plain attention"
    )
