"""Taking tokens back from a cache that keeps states: recurrent, convolutional or compressed.

Keys and values of a token can be dropped; what a state has read cannot be taken out of it. Two exact ways
lead back. *Recording*: the state of a convolution is its last inputs, so a layer that keeps a few more of
them is cropped as keys and values are. *Replay*, for every other state: a copy is kept from before the first
token that may be taken back. A crop goes back to the copy, and the next pass reads the accepted tokens again,
with the new candidates: no further pass, only a wider one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from transformers import DynamicCache, PretrainedConfig, PreTrainedModel

from anydraft.models.kv_cache import crop_keys, recording, state_of

TOGETHER = 16
"""So many tokens that stay are read in one pass with candidates, and again if those are rejected. More get a
pass of their own. Where a token makes a pass 2 to 3 % dearer and a round commits three, that is when another
pass costs what the wider ones do."""


class Way(NamedTuple):
    """How a model reads behind what is cached."""

    own: bool = False
    """It makes its cache itself, and only a copy of all of that leads back."""
    singly: bool = False
    """It reads one token a pass: a longer one would forget its states."""
    shift: int = 0
    """The position of its first token. Where that is not 0, a prompt sees all of itself and is read apart."""


BLOCKS = Way()
"""Several tokens a pass, on a cache of transformers."""


class Part(NamedTuple):
    """What is read in one pass."""

    tokens: int
    save: bool
    """Whether the states are copied before it."""


class Rollback(Protocol):
    """How the cache of one sequence is taken back to fewer tokens."""

    def parts(self, start: int, n: int, settled: int) -> Iterator[Part]:
        """In which passes ``n`` tokens are read after ``start``; the first ``settled`` of all will stay."""

    def save(self, cache: Any, length: int) -> None:
        """Copy the states of a cache of ``length`` tokens."""

    def back(self, cache: Any, length: int, wanted: int) -> tuple[Any, int] | None:
        """A cache with the first ``wanted`` of ``length`` tokens, or fewer, and how many it has.

        ``None`` if an empty one is all that is right.
        """

    def trim(self, cache: Any, spare: int) -> None:
        """Drop what only more than ``spare`` tokens taken back would need."""


class Recording:
    """The layers keep the inputs of as many tokens as may be taken back."""

    def parts(self, start: int, n: int, settled: int) -> Iterator[Part]:
        """One pass."""
        yield Part(n, save=False)

    def save(self, cache: DynamicCache, length: int) -> None:
        """Nothing: the layers have it."""

    def back(self, cache: DynamicCache, length: int, wanted: int) -> tuple[DynamicCache, int] | None:
        """Exactly the tokens wanted, if the inputs that they need are still there."""
        fewer = length - wanted
        for states, i, kernel in _inputs(cache):
            if states[i].shape[-1] - fewer < min(kernel, wanted) or wanted == 0:
                return None
        for states, i, _ in _inputs(cache):
            states[i] = states[i][..., : states[i].shape[-1] - fewer]
        crop_keys(cache, fewer)
        return cache, wanted

    def trim(self, cache: DynamicCache, spare: int) -> None:
        """Keep the inputs that the next token needs, and those of ``spare`` tokens before it."""
        for states, i, kernel in _inputs(cache):
            states[i] = states[i][..., -kernel - spare :]


class Replay:
    """Going back to a copy of the states. A sequence has two of them at most: its own, and the copy."""

    def __init__(self, way: Way) -> None:
        """Nothing is copied yet."""
        self._way = way
        self._copy: Any = None
        self._at = 0

    def parts(self, start: int, n: int, settled: int) -> Iterator[Part]:
        """Many tokens that stay are read apart from those that may not."""
        stay = min(max(settled - start, 0), n)
        cut = stay if stay in (0, n) or stay > TOGETHER or self._way.singly else 0
        for count, save in ((cut, False), (n - cut, start <= settled)):
            if not count:
                continue
            if not self._way.singly or start == 0:
                yield Part(count, save)
            else:
                yield Part(1, save)
                yield from [Part(1, save=False)] * (count - 1)
            start += count

    def save(self, cache: Any, length: int) -> None:
        """Keys and values that can be cropped are not copied."""
        self._copy, self._at = _copied(cache if self._way.own else _states(cache)), length

    def back(self, cache: Any, length: int, wanted: int) -> tuple[Any, int] | None:
        """The copy, if it is of no more tokens. It is used up: the next pass makes another."""
        kept, self._copy = self._copy, None
        if kept is None or self._at > wanted:
            return None
        if self._way.own:
            return kept, self._at
        for layer, values in zip(cache.layers, kept, strict=True):
            vars(layer).update(values)
        crop_keys(cache, length - self._at)
        return cache, self._at

    def trim(self, cache: Any, spare: int) -> None:
        """Nothing grows."""


def rollback_of(model: PreTrainedModel, cache: DynamicCache | None, way: Way) -> Rollback | None:
    """How an empty cache of ``model`` is taken back; ``None`` if its layers are cropped as they are.

    ``cache`` is ``None`` where the model makes its own.
    """
    if cache is not None and recording(model):
        return Recording()
    return Replay(way) if cache is None or any(_states(cache)) else None


def _states(cache: DynamicCache) -> list[dict[str, Any]]:
    return [state_of(layer) for layer in cache.layers]


def _inputs(cache: DynamicCache) -> Iterator[tuple[dict[int, Any], int, int]]:
    """The inputs that convolutions keep ``[1, channels, n]``: where they are, and how many a token needs."""
    layers: Any = [layer for layer in cache.layers if hasattr(layer, "conv_states")]
    for layer in layers:
        for i, states in layer.conv_states.items():
            if states is not None:
                yield layer.conv_states, i, layer.conv_kernel_size[i]


def _copied(value: Any) -> Any:
    """A deep copy; configurations are no part of it."""
    holders = value if isinstance(value, list) else [getattr(value, "__dict__", None)]
    parts = [part for holder in holders if isinstance(holder, dict) for part in holder.values()]
    return copy.deepcopy(value, {id(part): part for part in parts if isinstance(part, PretrainedConfig)})
