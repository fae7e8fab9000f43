"""Whether code of our own is the pass of a user's model: tried on small models made of its own modules.

A small model is the user's, with one of its layers and few of its tokens, every weight drawn at random so
that each matters: biases that are zero, scales that are 1 and weights that are small would hide what is lost.
In float32 rounding is a millionth, so what differs by more is another computation. Half precision rounds too
much for that: there the small model is also compared with itself in float32, and our error must be like its
own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from anydraft.models.cache import new_cache
from anydraft.models.memory import available_bytes

_TOKENS = 61
"""Vocabulary of a small model."""
_WINDOW = 8
"""Its sliding window, where the user's is longer: a text of any length is beyond it."""
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
"""How far the logits of the whole model may be, as a share of the largest; else 0.05."""

UNLIKE = (RuntimeError, TypeError, AttributeError, IndexError, KeyError, ValueError, AssertionError)
"""What comes of a model that is not what it is taken for, or of too little memory."""

Make = Callable[[Any], Any]
"""Our code for a model that is given; called as the model is."""


class Pass(NamedTuple):
    """What a pass over a text leaves behind."""

    logits: Tensor
    """``[n, V]``."""
    keys: Tensor
    """``[groups, n, size]``; a window keeps the last ones."""
    values: Tensor

    def errors(self, true: Pass) -> list[float]:
        """How far each is from the true one, root mean square, as a share of that."""
        found = []
        for ours, theirs in zip(self, true, strict=True):
            kept = min(ours.shape[-2], theirs.shape[-2])
            wanted = theirs[..., -kept:, :].double()
            far = (ours[..., -kept:, :].double() - wanted).square().mean().sqrt()
            found.append(float(far / wanted.square().mean().sqrt()))
        return found


@torch.no_grad()
def proves(model: Any, make: Make) -> bool:
    """Whether what ``make`` makes of a model computes what the model does, over pieces, crops and windows.

    One layer of each kind is tried, by itself. Models of one layer and :data:`_TOKENS` tokens are made, in
    float32 and in the model's own dtype; the model itself is not touched. Where memory does not allow for
    that, nothing is proven.

    Raises:
        Any of :data:`UNLIKE`: it cannot be tried.
    """
    return all(_fits(model.model.layers[i]) and _same(model, i, make) for i in _kinds(model))


@torch.no_grad()
def near(model: Any, runner: Any, close: float | None = None) -> bool:
    """Whether a text, and then a block after it, get from ``runner`` the logits that the whole model gives.

    Nearly: half precision, and weights in bytes, round. ``close`` is a share of the largest.
    """
    weight = model.get_input_embeddings().weight
    ids = torch.linspace(0, len(weight) - 1, 9, device=weight.device).long()[None]
    expected: Tensor = model(input_ids=ids, use_cache=False, return_dict=True).logits
    cache = new_cache(model)
    parts = (ids[:, :4], ids[:, 4:8], ids[:, 8:])
    found = torch.cat([runner(input_ids=part, past_key_values=cache).logits for part in parts], 1)
    far = (found - expected).abs().amax()
    share = close or _WIRED.get(weight.dtype, 0.05)
    return found.shape == expected.shape and bool(far <= share * expected.abs().amax())


@torch.no_grad()
def alike(model: Any, twin: Any) -> bool:
    """Whether two models give the same numbers, bit for bit, for a text, a block after it, and another."""
    weight = model.get_input_embeddings().weight
    ids = torch.linspace(0, len(weight) - 1, 9, device=weight.device).long()[None]
    found = []
    for one in (model, twin):
        cache: Any = new_cache(model)
        for part, back in ((ids[:, :4], 0), (ids[:, 4:8], 0), (ids[:, 8:], 4), (ids[:, :3], 0)):
            output = one(input_ids=part, past_key_values=cache, use_cache=True, return_dict=True)
            found.append(output.logits.nan_to_num())
            if back:
                cache.crop(-back)  # a negative number means "this many fewer" in every version
    half = len(found) // 2
    return all(map(torch.equal, found[:half], found[half:]))


def _kinds(model: Any) -> Iterator[int]:
    """The first layer of each kind: the same modules, shapes and settings, and the same kind of attention."""
    seen = set()
    names = getattr(model.config, "layer_types", None) or [None] * len(model.model.layers)
    for i, (layer, name) in enumerate(zip(model.model.layers, names, strict=True)):
        settings = [
            (type(part), {key: value for key, value in vars(part).items() if _is_plain(key, value)})
            for part in layer.modules()
        ]
        shapes = [(key, tuple(value.shape)) for key, value in layer.named_parameters()]
        kind = repr((name, settings, shapes))
        if kind not in seen:
            seen.add(kind)
            yield i


def _is_plain(key: str, value: object) -> bool:
    return key != "layer_idx" and isinstance(value, (bool, int, float, str, type(None)))


def _same(model: Any, layer: int, make: Make) -> bool:
    small = _small(model, layer)
    dtype = _exact(small.dtype)
    exact = small if small.dtype == dtype else copy.deepcopy(small).to(dtype)
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


def _fits(layer: nn.Module) -> bool:
    room = available_bytes()
    needed = sum(weight.numel() * (8 + weight.element_size()) for weight in layer.parameters())
    return room is None or _ROOM * needed <= room


class _Texts:
    """Some texts, and the ways in which they are read."""

    def __init__(self, small: Any) -> None:
        weight = small.get_input_embeddings().weight
        self._device = weight.device
        draw = torch.Generator().manual_seed(1)
        self._long, self._other = (
            torch.randint(_TOKENS, (1, n), generator=draw).to(self._device) for n in (_LENGTH, 20)
        )
        attention = small.model.layers[0].self_attn
        shape = (1, attention.k_proj.out_features // attention.head_dim, _FAR, attention.head_dim)
        self._before = [torch.randn(shape, generator=draw).to(self._device) for _ in "kv"]

    def by_model(self, small: Any) -> list[Pass]:
        """What the model itself makes of them."""
        whole = self._run(small, small, self._long)
        shifted = torch.arange(_SHIFT, _SHIFT + 20, device=self._device)[None]
        return [
            whole,
            whole._replace(logits=whole.logits[_BACK:]),
            self._run(small, small, self._long[:, :20], position_ids=shifted),
            self._run(small, small, self._other[:, _PADS:]),
            self._run(small, small, self._other, self._far(DynamicCache(config=small.config), small.dtype)),
        ]

    def by(self, runner: Any, small: Any) -> list[Pass]:
        """The same by ``runner``: in pieces, cut back, as rows of a batch, and far into a text."""
        cache: Any = new_cache(small)
        parts = [self._run(runner, small, part, cache) for part in torch.split(self._long, _PIECES, 1)]
        whole = parts[-1]._replace(logits=torch.cat([part.logits for part in parts]))
        cache.crop(_BACK - _LENGTH)  # a negative number means "this many fewer" in every version
        self._run(runner, small, self._other[:, :4], cache)
        cache.crop(-4)
        again = self._run(runner, small, self._long[:, _BACK:], cache)
        far = self._run(runner, small, self._other, self._far(new_cache(small), small.dtype))
        return [whole, again, *self._batch(runner, small), far]

    def _run(self, runner: Any, small: Any, ids: Tensor, cache: Any = None, **given: Any) -> Pass:
        if cache is None:
            cache = DynamicCache(config=small.config)
        output = runner(input_ids=ids, past_key_values=cache, use_cache=True, return_dict=True, **given)
        keys, values = (states[0].clone() for states in (cache.layers[0].keys, cache.layers[0].values))
        return Pass(output.logits[0], keys, values)

    def _far(self, cache: Any, dtype: torch.dtype) -> Any:
        cache.layers[0].update(*(states.to(dtype) for states in self._before))
        return cache

    def _batch(self, runner: Any, small: Any) -> list[Pass]:
        """Two rows: one begins at :data:`_SHIFT`, the other after some filler, which sees only itself."""
        n = self._other.shape[1]
        ids = torch.cat((self._long[:, :n], self._other))
        place = torch.arange(n, device=self._device)
        seen = place <= place[:, None]
        cache: Any = new_cache(small)
        window = getattr(cache.layers[0], "window", None)
        if window is not None:
            seen &= place > place[:, None] - window
        mask = torch.stack((seen, seen & (place >= _PADS)))
        mask |= torch.eye(n, dtype=torch.bool, device=self._device)
        positions = torch.stack((place + _SHIFT, (place - _PADS).clamp(min=0)))
        output = runner(
            input_ids=ids, past_key_values=cache, position_ids=positions, attention_mask=mask[:, None]
        )
        layer = cache.layers[0]
        return [
            Pass(output.logits[i, first:], layer.keys[i, :, first:], layer.values[i, :, first:])
            for i, first in enumerate((0, _PADS))
        ]


def _small(model: Any, index: int) -> Any:
    """The model with one of its layers, few tokens, a short window, and weights at random; dtype as it is."""
    decoder, device = model.model, next(model.parameters()).device
    draw = torch.Generator(device).manual_seed(2)
    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    config = memo[id(model.config)] = copy.deepcopy(model.config)
    kinds, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
    config.num_hidden_layers = 1
    if kinds:
        config.layer_types = [kinds[index]]
    if window is not None:
        config.sliding_window = min(window, _WINDOW)
    cap = getattr(config, "final_logit_softcapping", None) or 3.0
    spread = torch.logspace(-3, 0, _TOKENS, device=device)[:, None]  # so that an epsilon matters
    for owner in (decoder.layers[index], decoder.norm):
        memo |= {id(weight): _drawn(weight, draw) for weight in owner.parameters()}
    memo[id(decoder.embed_tokens)] = _few_tokens(decoder.embed_tokens, draw, memo, spread)
    memo[id(model.lm_head)] = _few_tokens(model.lm_head, draw, memo, cap)
    layer = copy.deepcopy(decoder.layers[index], memo)
    for part in layer.modules():
        if hasattr(part, "layer_idx"):
            part.layer_idx = 0
        if getattr(part, "sliding_window", None) is not None:
            part.sliding_window = config.sliding_window
    memo[id(decoder.layers)] = nn.ModuleList([layer])
    return copy.deepcopy(model, memo)


def _few_tokens(part: nn.Module, draw: torch.Generator, memo: dict[int, Any], scale: Any) -> Any:
    """An embedding or a head with the first tokens of ``part`` only; not tied to anything."""
    own = {id(weight): _drawn(weight[:_TOKENS], draw, scale) for weight in part.parameters()}
    made: Any = copy.deepcopy(part, {**memo, **own})
    for name in ("num_embeddings", "out_features"):
        if hasattr(made, name):
            setattr(made, name, _TOKENS)
    if hasattr(made, "padding_idx"):
        made.padding_idx = None
    return made


def _drawn(weight: Tensor, draw: torch.Generator, scale: Any = 1.0) -> nn.Parameter:
    """Of a matrix: products with rows of length 1 a number are of that length; of a vector: around 1."""
    numbers = torch.empty(weight.shape, device=weight.device).uniform_(generator=draw)
    if weight.dim() == 2:
        numbers = (2 * numbers - 1) * (3 / weight.shape[1]) ** 0.5
    else:
        numbers += 0.5
    return nn.Parameter((numbers * scale).to(weight.dtype), requires_grad=False)
