"""Rotary embeddings whose scales change when the text gets longer (``"longrope"``, ``"dynamic"``).

transformers chooses the scales of a whole pass by the last of its positions. Decoding token by token, every
token past the original window is so embedded at its own length; a pass over several tokens would embed all of
them as the last. Here is told where such a pass has to be split, and what a model itself does when its scales
change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from anydraft.models.versions import cache_argument, cache_of

_DYNAMIC = "dynamic"
_KINDS = {_DYNAMIC, "longrope"}


class _Scales(NamedTuple):
    """When one rotary embedding changes."""

    original: int
    """Texts of so many tokens have the scales of training."""
    dynamic: bool
    """Beyond them every length has its own; else there is one other set."""
    factor: float


class Growing(NamedTuple):
    """How the scales of a model change with the length of its text."""

    original: int
    """The longest text, in tokens, that has the scales of training."""
    scales: frozenset[_Scales]
    rereads: bool
    """Whether the model reads its whole text again when they change (Phi-3); else what is cached stays."""
    forgets: bool
    """Whether it drops its cache there and reads nothing again: plain decoding has lost the text then."""

    def window(self, given: int | None) -> int | None:
        """How long a text may be, by ``max_position_embeddings``, where scales grow from that on."""
        if self.forgets:
            return self.original
        factors = [scales.factor for scales in self.scales if scales.dynamic]
        return int(given * max(factors)) if given is not None and factors else given

    def differ(self, length: int, other: int) -> bool:
        """Whether texts of two lengths have other scales."""
        return self._at(length) != self._at(other)

    def ends(self, start: int, n: int, keep: int) -> list[int]:
        """After which lengths a pass over ``n`` tokens ends, ``start`` being cached.

        All but the last ``keep - 1`` are read at once, as a prompt is; those that follow are candidates,
        which plain decoding would read one by one.
        """
        lengths = range(start + n - keep + 1, start + n + 1)
        return [list(group)[-1] for _, group in groupby(lengths, self._at)]

    def restore(self, model: object) -> None:
        """Have the next pass over ``model`` choose its scales by its own length, not an earlier one's."""
        for rotary, prefix, kind in _rotaries(model):
            if kind == _DYNAMIC:
                given = getattr(rotary, f"{prefix}original_inv_freq")
                setattr(rotary, f"{prefix}inv_freq", given.to(getattr(rotary, f"{prefix}inv_freq").device))
                setattr(rotary, f"{prefix}max_seq_len_cached", rotary.original_max_seq_len)

    def _at(self, length: int) -> tuple[int, ...]:
        return tuple(
            0 if length <= scales.original else length if scales.dynamic else 1 for scales in self.scales
        )


def growing_of(model: PreTrainedModel) -> Growing | None:
    """How a model's scales change; ``None`` if they do not."""
    scales = frozenset(_scales(rotary, prefix, kind) for rotary, prefix, kind in _rotaries(model))
    config = model.config.get_text_config(decoder=True)
    named = getattr(config, "original_max_position_embeddings", None)
    original = min((each.original for each in scales), default=named)
    if original is None:
        return None
    prepared = _prepared(model, original)
    drops = cache_of(prepared) is None
    forgets = drops and prepared["input_ids"].shape[1] <= original
    return Growing(original, scales, drops, forgets) if scales or forgets else None


def _rotaries(model: object) -> Iterator[tuple[Any, str, str]]:
    """Rotary embeddings that grow: the module, the prefix of its attributes, the type."""
    modules: Iterable[torch.nn.Module] = model.modules() if isinstance(model, torch.nn.Module) else ()
    for module in modules:
        kinds = getattr(module, "rope_type", None)
        named = kinds.items() if isinstance(kinds, dict) else [("", kinds)]
        for layers, kind in named:
            prefix = f"{layers}_" if layers else ""
            if kind in _KINDS and hasattr(module, f"{prefix}original_inv_freq"):
                yield module, prefix, kind


def _scales(rotary: Any, prefix: str, kind: str) -> _Scales:
    config = rotary.config
    newer = getattr(config, "rope_parameters", None) is not None  # since version 5
    given: Any = config.rope_parameters if newer else config.rope_scaling
    given = given[prefix[:-1]] if prefix else given
    if kind == _DYNAMIC:
        return _Scales(rotary.original_max_seq_len, dynamic=True, factor=float(given.get("factor", 1.0)))
    if newer:
        original = given["original_max_position_embeddings"]
    else:
        original = getattr(config, "original_max_position_embeddings", config.max_position_embeddings)
    return _Scales(int(original), dynamic=False, factor=1.0)


def _prepared(model: PreTrainedModel, original: int) -> Any:
    """What the model prepares for the first token beyond its original window."""
    layer: Any = DynamicLayer()  # type: ignore[no-untyped-call, unused-ignore]
    states = torch.zeros(1, 1, 1, 1).expand(1, 1, original, 1)
    layer.keys = layer.values = states
    layer.is_initialized = True
    cache = DynamicCache()
    cache.layers.append(layer)
    ids = torch.zeros(1, 1, dtype=torch.int64).expand(1, original + 1)
    generating: Any = model
    return generating.prepare_inputs_for_generation(
        ids,
        **{cache_argument(type(model), "prepare_inputs_for_generation"): cache},
        attention_mask=torch.ones_like(ids),
        use_cache=True,
        cache_position=torch.tensor([original]),  # of version 4
        next_sequence_length=1,
    )
