"""The cache of one sequence: keys and values grow in place, are all kept, and are cropped for free.

transformers' own dynamic cache copies all keys and values at every token, and its sliding-window
layers forget keys that a rollback needs back. Here every attention layer keeps all its keys in a
store with spare room, and hands out a view. Layers with a state keep it as transformers does;
:mod:`anydraft.models.rollback` takes it back. All that differs between versions of transformers' caches
is in this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, cache_utils
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from anydraft.errors import ModelError
from anydraft.models.layer_kinds import ATTENTION, CONVOLUTION

_SPARE = 256
"""Least spare room of a store, in tokens; a longer one has a quarter of its length."""

_KEPT_AS_MADE = ("DummyLayer", "DynamicIndexedLayer")
"""Layers of newer versions that need no store of ours: the first holds nothing, both can be cropped."""

_BY_ROW = {"conv_states", "recurrent_states"}
"""States by number, each ``[rows, ...]``."""

_KEYS = {"keys", "values", "key_store", "value_store", "is_initialized"}
"""What a layer of ours holds that is cropped."""

_RECORDS = "record_past"
"""Whether a layer keeps inputs of its convolution for a crop."""

_Linear: Any = getattr(cache_utils, "LinearAttentionLayer", type("LinearAttentionLayer", (), {}))
"""A layer with a state, of version 5."""
_Both: Any = getattr(cache_utils, "LinearAttentionAndFullAttentionLayer", _Linear)
"""One with attention beside it. Masks are made for the first layer that is of this class, or has no state."""


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

    def gather(self, start: int, places: Tensor) -> None:
        """Hold the first ``start`` tokens, then those at ``places``, int64 ``[m]`` on any device."""
        places = places.to(self.device)
        for store in (self.key_store, self.value_store):
            store.narrow(2, start, len(places)).copy_(store.index_select(2, places))
        self.take(start + len(places))

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


class GrowingStateLayer(_Both, GrowingLayer):  # type: ignore[misc, no-untyped-call, unused-ignore]
    """Attention and a state side by side: the keys and values of :class:`GrowingLayer`, and a state."""

    def __init__(self, window: int | None, states: int) -> None:
        """Start empty; ``states``: how many there are."""
        GrowingLayer.__init__(self, window)
        _Linear.__init__(self, number_of_states=states)

    def crop(self, tokens_to_remove: int) -> None:
        """Crop the keys and values."""
        GrowingLayer.crop(self, tokens_to_remove)


def new_cache(
    model: PreTrainedModel, layer_of: Callable[[int | None], DynamicLayer] = GrowingLayer
) -> DynamicCache:
    """An empty cache for ``model``, whose attention layers can be cropped to any length.

    ``layer_of`` makes an attention layer of a window, or of ``None``.

    Raises:
        ModelError: the configuration does not tell what the layers cache.
    """
    cache = _described(model)
    for i, layer in enumerate(cache.layers):
        made: Any = layer
        if type(layer) is DynamicLayer:
            cache.layers[i] = layer_of(None)
        elif type(layer) is DynamicSlidingWindowLayer:
            cache.layers[i] = layer_of(layer.sliding_window)
        elif isinstance(layer, _Linear) and isinstance(layer, DynamicLayer):
            cache.layers[i] = GrowingStateLayer(getattr(made, "sliding_window", None), made.number_of_states)
        elif isinstance(layer, _Linear) and recording(model):
            made.activate_past_recording()
    return cache


def gathers(cache: Any) -> bool:
    """Whether all that a cache holds is keys and values which can be gathered token by token."""
    return all(type(layer) is GrowingLayer for layer in getattr(cache, "layers", [None]))


def gather(cache: Any, start: int, path: Sequence[int]) -> None:
    """Have a cache that :func:`gathers` hold its first ``start`` tokens, and of those after them ``path``."""
    places = torch.tensor([start + i for i in path])
    for layer in cache.layers:
        layer.gather(start, places)


def stateful(model: PreTrainedModel) -> bool:
    """Whether a model keeps anything but keys and values."""
    return bool(getattr(model, "_is_stateful", False) or _kinds(model) - ATTENTION)


def recording(model: PreTrainedModel) -> bool:
    """Whether all states of a model are the last inputs of convolutions, which its layers can keep."""
    return hasattr(_Linear, "activate_past_recording") and {CONVOLUTION} == _kinds(model) - ATTENTION


def state_of(layer: Any) -> dict[str, Any]:
    """What a layer of a cache holds that no crop takes back, by name."""
    if isinstance(layer, GrowingStateLayer):
        return {name: value for name, value in vars(layer).items() if name not in _KEYS}
    kind = type(layer)
    ours = kind.__module__.startswith("anydraft.")
    cropped = ours or kind in (DynamicLayer, DynamicSlidingWindowLayer) or kind.__name__ in _KEPT_AS_MADE
    return {} if cropped else dict(vars(layer))


def crop_keys(cache: DynamicCache, fewer: int) -> None:
    """Forget the last ``fewer`` tokens wherever they can be cropped."""
    layers: Any = cache.layers
    for layer in layers:
        if fewer and (isinstance(layer, GrowingLayer) or type(layer).__name__ in _KEPT_AS_MADE):
            layer.crop(-fewer)  # a negative number means "this many fewer" in every version


def _kinds(model: PreTrainedModel) -> set[str]:
    return set(getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ())


def _described(model: PreTrainedModel) -> DynamicCache:
    try:
        return DynamicCache(config=model.config.get_text_config(decoder=True))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"got a {type(model).__name__}, whose configuration does not tell what its layers cache "
            f"({error}); expected a decoder-only model with one key-value cache"
        ) from error


def is_filled(cache: DynamicCache) -> bool:
    """Whether a cache of transformers holds anything."""
    layers: Any = cache.layers
    return any(
        (_counts(layer) and layer.get_seq_length()) or any(getattr(layer, "has_previous_state", {}).values())
        for layer in layers
    )


def copy_into(ours: DynamicCache, theirs: DynamicCache, padding: int = 0, row: int = 0) -> int:
    """Put what a filled cache of transformers holds of a row into an empty one of ours; the number of tokens.

    The first ``padding`` tokens are left out. A sliding window has forgotten its first keys. They are out of
    reach of all that follows: zeros stand for them.

    Raises:
        ModelError: none of its layers tells how many tokens it has read.
    """
    if not any(map(_counts, theirs.layers)):
        raise ModelError(
            "got filled past_key_values that do not tell how many tokens they have read (all layers keep a "
            "state); expected none. Leave them out"
        )
    length = int(theirs.get_seq_length())
    if length <= padding:
        return 0
    layers: Any = zip(ours.layers, theirs.layers, strict=False)
    for layer, given in layers:
        _copy_state(given, layer, row)
        if getattr(given, "keys", None) is None or (state_of(layer) and not isinstance(layer, GrowingLayer)):
            continue  # it keeps none, or reads those of another layer, or has them in its state
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
        while len(theirs.layers) <= i:
            theirs.layers.append(DynamicLayer())  # type: ignore[no-untyped-call, unused-ignore]
        given: Any = theirs.layers[i]
        _copy_state(layer, given)
        if not isinstance(layer, DynamicLayer) or (state_of(layer) and not isinstance(layer, GrowingLayer)):
            continue
        keys: Any = layer.keys
        values: Any = layer.values
        if isinstance(given, DynamicSlidingWindowLayer):
            given.cumulative_length = keys.shape[-2]
            keys, values = (states[:, :, -(given.sliding_window - 1) :] for states in (keys, values))
        given.dtype, given.device, given.is_initialized = keys.dtype, keys.device, True
        given.keys, given.values = keys.clone(), values.clone()


def _counts(layer: object) -> bool:
    """Whether a layer knows how many tokens it has read."""
    return hasattr(layer, "get_seq_length")


def _copy_state(source: Any, target: Any, row: int = 0) -> None:
    """Copy a row's state of a layer, if it has one, to a layer for the same: ours, or transformers' own."""
    if not (isinstance(source, _Linear) or state_of(source)):
        return
    alike = type(source) is type(target)
    names = set(vars(source)) if alike else (set(vars(source)) & set(vars(target))) - _KEYS
    for name in names - {_RECORDS}:
        value = getattr(source, name)
        rows = (
            {i: None if states is None else states[row : row + 1].clone() for i, states in value.items()}
            if name in _BY_ROW
            else value
        )
        setattr(target, name, deepcopy(rows))
    if getattr(target, _RECORDS, True):
        return
    for i, inputs in getattr(target, "conv_states", {}).items():  # while they are kept, they may be fewer
        missing = 0 if inputs is None else target.conv_kernel_size[i] - inputs.shape[-1]
        if missing > 0:
            target.conv_states[i] = torch.nn.functional.pad(inputs, (missing, 0))


def _moved(old: Any, store: Tensor) -> Tensor:
    """Copy the cached tokens to the front of a new store."""
    store.narrow(2, 0, old.shape[-2]).copy_(old)
    return store
