"""Whether code of our own is the pass of a user's model: tried on small models made of its own modules.

In float32 rounding is a millionth, so what differs by more is another computation. Half precision rounds too
much for that: there the small model is also compared with itself in float32, and our error must be like its
own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from anydraft.loading.memory import available_bytes
from anydraft.models.base import Runner
from anydraft.models.fast.small_model import TOKENS, small_model
from anydraft.models.kv_cache import new_cache
from anydraft.models.loaded import embedding_of
from anydraft.models.versions import cached

_LENGTH = 96
_PIECES = [5, 1, 3, 70, 1, 12, 4]
"""How a text is cut: the first sees itself alone, one is longer than heads are stacked for."""
_BACK = 40
"""Where it is cut back to, to go on with other tokens and with the same."""
_PADS = 5
_SHIFT = 900
"""The position at which a row of a batch begins."""
_FAR = 4000
"""How many keys stand before a text that is far into another."""

_CLOSE = 1e-5
"""How far numbers may be in float32 and float64, root mean square, as a share of the true ones."""
_ERROR = 2.0
"""In a dtype that rounds more: in errors of the model's own pass."""
_ROOM = 2
"""Two copies of a layer may take one part in so many of the memory that is free."""
_WIRED = {torch.float32: 1e-3, torch.float64: 1e-4}
"""How far the logits of the whole model may be, as a share of the largest; else 0.25: rounding adds up."""

Make = Callable[[PreTrainedModel], Runner]
"""Our code for a model that is given; called as the model is."""


class Pass(NamedTuple):
    """What a pass over a text leaves behind."""

    logits: Tensor
    """``[n, V]``."""
    states: list[Tensor]
    """``[groups, n, size]``, keys and values of every layer; a window keeps the last ones."""

    def errors(self, true: Pass) -> list[float]:
        """How far each is from the true one, root mean square, as a share of that."""
        found = []
        for ours, theirs in zip((self.logits, *self.states), (true.logits, *true.states), strict=True):
            kept = min(ours.shape[-2], theirs.shape[-2])
            wanted = theirs[..., -kept:, :].double()
            far = (ours[..., -kept:, :].double() - wanted).square().mean().sqrt()
            found.append(float(far / wanted.square().mean().sqrt()))
        return found


@torch.no_grad()
def proves(model: PreTrainedModel, make: Make) -> bool:
    """Whether what ``make`` makes of a model computes what the model does, over pieces, crops and windows.

    Layers are tried two at a time, of each kind that there is. Small models of these layers and
    :data:`TOKENS` tokens are made, in float32 and in the model's own dtype; the model itself is not touched.
    Where memory does not allow for that, nothing is proven. Raises whatever comes of a model that is not what
    it is taken for.
    """
    return all(_fits(model, pair) and _same(model, pair, make) for pair in _pairs(model))


@torch.no_grad()
def near(model: PreTrainedModel, runner: Runner, close: float | None = None) -> bool:
    """Whether a text, and then a block after it, get from ``runner`` about the logits of the whole model.

    About: half precision, and weights in bytes, round. ``close`` is a share of the largest.
    """
    weight = embedding_of(model)
    ids = torch.linspace(0, len(weight) - 1, 9, device=weight.device).long()[None]
    expected: Tensor = model(input_ids=ids, use_cache=False, return_dict=True).logits
    cache = new_cache(model)
    parts = (ids[:, :4], ids[:, 4:8], ids[:, 8:])
    found = torch.cat([runner(input_ids=part, **cached(runner, cache)).logits for part in parts], 1)
    far = (found - expected).abs().amax()
    share = close or _WIRED.get(weight.dtype, 0.25)
    return found.shape == expected.shape and bool(far <= share * expected.abs().amax())


@torch.no_grad()
def alike(model: PreTrainedModel, twin: PreTrainedModel) -> bool:
    """Whether two models give the same numbers, bit for bit, for a text, a block after it, and another."""
    weight = embedding_of(model)
    ids = torch.linspace(0, len(weight) - 1, 9, device=weight.device).long()[None]
    found = []
    for one in (model, twin):
        cache = new_cache(model)
        for part, back in ((ids[:, :4], 0), (ids[:, 4:8], 0), (ids[:, 8:], 4), (ids[:, :3], 0)):
            output = one(input_ids=part, **cached(one, cache), use_cache=True, return_dict=True)
            found.append(output.logits.nan_to_num())
            if back:
                cache.crop(-back)  # a negative number means "this many fewer" in every version
    half = len(found) // 2
    return all(map(torch.equal, found[:half], found[half:]))


def _pairs(model: PreTrainedModel) -> list[list[int]]:
    """Layers to be tried together: neighbours among the first ones of each kind; of one kind, the first two.

    Layers of a kind have the same modules, shapes and settings, and the same kind of attention.
    """
    count = len(model.model.layers)
    first: dict[str, int] = {}
    names = getattr(model.config, "layer_types", None) or [None] * count
    for i, (layer, name) in enumerate(zip(model.model.layers, names, strict=True)):
        settings = [
            (type(part), {key: value for key, value in vars(part).items() if _is_plain(key, value)})
            for part in layer.modules()
        ]
        shapes = [(key, tuple(value.shape)) for key, value in layer.named_parameters()]
        first.setdefault(repr((name, settings, shapes)), i)
    kinds = list(first.values())
    return [list(pair) for pair in pairwise(kinds)] or [[0, 1][:count]]


def _is_plain(key: str, value: object) -> bool:
    return key != "layer_idx" and isinstance(value, (bool, int, float, str, type(None)))


def _same(model: PreTrainedModel, layers: list[int], make: Make) -> bool:
    small = small_model(model, layers)
    dtype = _exact(small.dtype)
    exact = small if small.dtype == dtype else copy.deepcopy(small).to(dtype)  # type: ignore[arg-type]
    texts = _Texts(small)
    true = texts.by_model(exact)
    errors = [ours.errors(wanted) for ours, wanted in zip(texts.by(make(exact), exact), true, strict=True)]
    if not all(error <= _CLOSE for one in errors for error in one):  # written so that "not a number" fails
        return False
    if exact is small:
        return True
    rough = zip(texts.by(make(small), small), texts.by_model(small), true, strict=True)
    return all(
        error <= _ERROR * own + _CLOSE
        for ours, theirs, wanted in rough
        for error, own in zip(ours.errors(wanted), theirs.errors(wanted), strict=True)
    )


def _exact(dtype: torch.dtype) -> torch.dtype:
    """A dtype whose products do not round to less than it holds."""
    wide = dtype == torch.float64 or torch.get_float32_matmul_precision() != "highest"
    return torch.float64 if wide else torch.float32


def _fits(model: PreTrainedModel, layers: list[int]) -> bool:
    room = available_bytes()
    weights = [weight for i in layers for weight in model.model.layers[i].parameters()]
    needed = sum(weight.numel() * (8 + weight.element_size()) for weight in weights)
    return room is None or _ROOM * needed <= room


class _Texts:
    """Some texts, and the ways in which they are read."""

    def __init__(self, small: PreTrainedModel) -> None:
        weight = embedding_of(small)
        self._device = weight.device
        draw = torch.Generator().manual_seed(1)
        self._long, self._other = (
            torch.randint(TOKENS, (1, n), generator=draw).to(self._device) for n in (_LENGTH, 20)
        )
        self._before = [
            [torch.randn((1, _FAR, part.out_features), generator=draw).to(self._device) for part in pair]
            for layer in small.model.layers
            for pair in [(layer.self_attn.k_proj, layer.self_attn.v_proj)]
        ]

    def by_model(self, small: PreTrainedModel) -> list[Pass]:
        """What the model itself makes of them."""
        whole = self._run(small, small, self._long)
        shifted = torch.arange(_SHIFT, _SHIFT + 20, device=self._device)[None]
        return [
            whole,
            whole._replace(logits=whole.logits[_BACK:]),
            self._run(small, small, self._long[:, :20], position_ids=shifted),
            self._run(small, small, self._other[:, _PADS:]),
            self._run(small, small, self._other, self._far(small, DynamicCache(config=small.config))),
        ]

    def by(self, runner: Runner, small: PreTrainedModel) -> list[Pass]:
        """The same by ``runner``: in pieces, cut back, as rows of a batch, and far into a text."""
        cache = new_cache(small)
        parts = [self._run(runner, small, part, cache) for part in torch.split(self._long, _PIECES, 1)]
        whole = parts[-1]._replace(logits=torch.cat([part.logits for part in parts]))
        cache.crop(_BACK - _LENGTH)  # a negative number means "this many fewer" in every version
        self._run(runner, small, self._other[:, :4], cache)
        cache.crop(-4)
        again = self._run(runner, small, self._long[:, _BACK:], cache)
        far = self._run(runner, small, self._other, self._far(small, new_cache(small)))
        return [whole, again, *self._batch(runner, small), far]

    def _run(
        self,
        runner: Runner,
        small: PreTrainedModel,
        ids: Tensor,
        cache: DynamicCache | None = None,
        **given: Any,
    ) -> Pass:
        if cache is None:
            cache = DynamicCache(config=small.config)
        given |= cached(runner, cache)
        output = runner(input_ids=ids, use_cache=True, return_dict=True, **given)
        return Pass(output.logits[0], _states(cache))

    def _far(self, small: PreTrainedModel, cache: DynamicCache) -> DynamicCache:
        layers: list[Any] = cache.layers
        for layer, states, of in zip(layers, self._before, small.model.layers, strict=True):
            shape = (1, _FAR, -1, of.self_attn.head_dim)
            layer.update(*(state.to(small.dtype).view(shape).transpose(1, 2) for state in states))
        return cache

    def _batch(self, runner: Runner, small: PreTrainedModel) -> list[Pass]:
        """Two rows: one begins at :data:`_SHIFT`, the other after some filler, which sees only itself."""
        n = self._other.shape[1]
        ids = torch.cat((self._long[:, :n], self._other))
        place = torch.arange(n, device=self._device)
        cache = new_cache(small)
        kinds = getattr(small.config, "layer_types", None) or [""] * len(cache.layers)
        masks = {}
        for kind, layer in zip(kinds, cache.layers, strict=True):
            window = getattr(layer, "window", None) or n
            seen = (place <= place[:, None]) & (place > place[:, None] - window)
            seen = torch.stack((seen, seen & (place >= _PADS)))
            masks[kind] = (seen | torch.eye(n, dtype=torch.bool, device=self._device))[:, None]
        output = runner(
            input_ids=ids,
            **cached(runner, cache),
            position_ids=torch.stack((place + _SHIFT, (place - _PADS).clamp(min=0))),
            attention_mask=masks if len(masks) > 1 else masks[kinds[0]],
        )
        return [
            Pass(output.logits[i, first:], [states[:, first:] for states in _states(cache, i)])
            for i, first in enumerate((0, _PADS))
        ]


def _states(cache: Any, row: int = 0) -> list[Tensor]:
    return [states[row].clone() for layer in cache.layers for states in (layer.keys, layer.values)]
