"""Whether a model reads several tokens at once, behind a cache that is cut back, as it reads them one by one.

Architectures of transformers for which the sweep has shown that (docs/models.md) are believed. Any other
model is tried once: a few tokens, its own ``generate`` against a block after a crop. What does not agree is
refused.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from anydraft.errors import ModelError
from anydraft.models.growing import growing_of
from anydraft.models.kv_cache import stateful
from anydraft.models.loaded import embedding_of, width_of
from anydraft.models.proven import PROVEN, SHIFTED, UNLIKE
from anydraft.models.rollback import BLOCKS, Way
from anydraft.models.sequence_cache import SequenceCache
from anydraft.models.versions import cache_argument, cache_returned

_PROMPT, _STEPS = 6, 4
"""Tokens of the prompt, and those that follow one by one."""
_WRONG = 2
"""Tokens that are read and taken back."""
_CONSIDERED = 32
"""The likeliest tokens, by which laws are compared."""
_FAR = {torch.float32: 0.01, torch.float64: 0.01}
"""How far a logit may be off, in standard deviations of its row: rounding makes less than 0.001, a wrong mask
or position more than 0.1."""
_FAR_IN_HALF = 0.3
"""The same in half precision, where the worst row is left out, as rounding may tip a router."""

_PADDING = 3
"""Tokens of padding before a prompt."""

_STATEFUL = (BLOCKS, Way(singly=True), Way(own=True), Way(own=True, singly=True))
"""What is tried with a model that keeps states, in this order."""

_ways: WeakKeyDictionary[PreTrainedModel, Way | str] = WeakKeyDictionary()
"""Of each model that was tried, how it reads, or why it is refused."""
_verdicts: WeakKeyDictionary[PreTrainedModel, dict[str, str]] = WeakKeyDictionary()
"""Of each model what else was tried, and why it is refused; an empty sentence if it is not."""
_lock = threading.RLock()


def way_of(model: PreTrainedModel) -> Way:
    """How a model reads behind what is cached, so that blocks are read as tokens are one by one.

    A model that is none of the proven ones, or keeps states (which versions of transformers read in different
    ways), is tried at its first use: some ten passes over a few tokens. Its windows and scales are beyond
    them; those are told by its configuration.

    Raises:
        ModelError: it has no such way.
    """
    name = type(model).__name__
    if own(model) and name in UNLIKE:
        raise ModelError(f"got {name}, {UNLIKE[name]}; expected another architecture, or leave anydraft out")
    if own(model) and name in SHIFTED:
        return Way(shift=SHIFTED[name])
    if proven(model) and not stateful(model):
        return BLOCKS
    with _lock:
        if model not in _ways:
            _ways[model] = _tried(model)
        found = _ways[model]
    if isinstance(found, str):
        raise ModelError(found)
    return found


def ensure_length(model: PreTrainedModel, length: int, padded: bool) -> None:  # noqa: FBT001
    """Raise :class:`ModelError` if ``generate`` reads rows otherwise than each by itself.

    ``length``: how long they may become, padding included, in tokens; ``padded``: some have padding.
    """
    growing = growing_of(model)
    beyond = growing is not None and length > growing.original
    if growing is not None and beyond and growing.forgets:
        raise ModelError(
            f"got rows of up to {length} tokens for {type(model).__name__}, whose generate forgets its text "
            f"beyond {growing.original} tokens; expected shorter ones. Lower max_new_tokens"
        )
    if not padded:
        return
    if growing is not None and beyond:
        raise ModelError(
            f"got padded rows of up to {length} tokens for {type(model).__name__}, whose rotary scales "
            f"change beyond {growing.original} tokens for all rows at once, by the longest; expected rows of "
            "one length, or shorter ones. Call generate once a row"
        )
    _ensure(model, "padding", _verdict_on_padding)


def proven(model: PreTrainedModel) -> bool:
    """Whether the class is one of transformers' own that the sweep has shown to be faithful.

    Not if it is told to look both ways: the sweep's are causal.
    """
    both_ways = getattr(model.config.get_text_config(decoder=True), "use_bidirectional_attention", None)
    return own(model) and type(model).__name__ in PROVEN and not both_ways


def own(model: PreTrainedModel) -> bool:
    """Whether the class is one of transformers' own."""
    return type(model).__module__.startswith("transformers.models.")


def tried(model: PreTrainedModel, what: str, trial: Callable[[PreTrainedModel], str]) -> str:
    """What came of a trial of a model that is not proven; each is made once."""
    return "" if proven(model) else tried_with(model, what, frozenset(), lambda: trial(model))


def tried_with(model: PreTrainedModel, what: str, known: frozenset[str], trial: Callable[[], str]) -> str:
    """The same, where other classes are proven: those of transformers' own that are ``known``."""
    if own(model) and type(model).__name__ in known:
        return ""
    with _lock:
        verdicts = _verdicts.setdefault(model, {})
        if what not in verdicts:
            verdicts[what] = trial()
        return verdicts[what]


def _ensure(model: PreTrainedModel, what: str, trial: Callable[[PreTrainedModel], str]) -> None:
    said = tried(model, what, trial)
    if said:
        raise ModelError(said)


@torch.no_grad()
def _tried(model: PreTrainedModel) -> Way | str:
    """The first way that is right, or why the model is refused."""
    name = type(model).__name__
    ids = text(model)
    try:
        expected = _one_by_one(model, ids)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return (
            f"got {name}, whose own generate fails on a few tokens ({_told(error)}); expected a model that "
            "continues text alone. Load another, or leave anydraft out"
        )
    faults = []
    for way in _STATEFUL if stateful(model) else (BLOCKS,):
        fault = _fault(model, ids, expected, way)
        if not fault:
            return way
        faults.append(fault)
    return faults[0]


def _fault(model: PreTrainedModel, ids: Tensor, expected: Tensor, way: Way) -> str:
    """What is wrong with a way, if anything; ``expected``: what :func:`_one_by_one` gave."""
    name = type(model).__name__
    try:
        found = _in_blocks(model, ids, way)
    except ModelError as error:
        return str(error)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        return (
            f"got {name}, which cannot read several tokens at once behind a cache ({_told(error)}); expected "
            "a decoder-only model with a key-value cache. Load another, or leave anydraft out"
        )
    if near(found, expected):
        return ""
    if stateful(model):
        return (
            f"got {name}, whose states cannot be taken back when drafted tokens are rejected: behind a copy "
            "of its cache its logits are not those that its generate computes; expected states that its "
            "cache holds. Load another, or leave anydraft out"
        )
    return (
        f"got {name}, whose logits for several tokens at once are not those that its generate computes one "
        "by one, so that drafted tokens cannot be verified; expected a causal decoder-only model. If it is "
        "an encoder, load it with is_decoder=True; else leave anydraft out"
    )


def text(model: PreTrainedModel) -> Tensor:
    """A text to try a model on: int64 ``[n]``, without the ids that its configurations name, such as ends."""
    table = embedding_of(model)
    generation = getattr(model, "generation_config", None)
    named = {*_named(model.config.to_dict()), *(_named(generation.to_dict()) if generation else ())}
    size = width_of(model, model.config.get_text_config(decoder=True).vocab_size)
    plain = [i for i in range(min(len(table), size, 4096)) if i not in named] or [0]
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(plain), (_PROMPT + _STEPS + _WRONG,), generator=generator)
    return torch.tensor(plain)[drawn].to(table.device)


def _named(config: dict[str, Any]) -> list[int]:
    found = []
    for key, value in config.items():
        if isinstance(value, dict):
            found += _named(value)
        elif str(key).endswith(("_token_id", "_token_index")):
            found += [i for i in (value if isinstance(value, list) else [value]) if isinstance(i, int)]
    return found


class _Forced(LogitsProcessor):
    """Has ``generate`` say what follows a prompt of ``length`` tokens."""

    def __init__(self, following: Tensor, length: int) -> None:
        self.following, self.length = following, length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        forced = torch.full_like(scores, -torch.inf)
        forced[:, self.following[input_ids.shape[1] - self.length]] = 0.0
        return forced


def _one_by_one(model: PreTrainedModel, ids: Tensor, padding: int = 0) -> Tensor:
    """Logits ``[_STEPS, V]`` after the prompt and all but the last of the tokens that follow."""
    asked = GenerationConfig(  # type: ignore[no-untyped-call, unused-ignore]
        max_new_tokens=_STEPS,
        do_sample=False,
        num_beams=1,
        return_dict_in_generate=True,
        output_logits=True,
        pad_token_id=0,
    )
    prompt = torch.cat((ids.new_zeros(padding), ids[:_PROMPT]))[None]
    mask = torch.ones_like(prompt)
    mask[:, :padding] = 0
    generating: Any = model
    output = generating.generate(
        prompt,
        attention_mask=mask,
        generation_config=asked,
        logits_processor=LogitsProcessorList([_Forced(ids[_PROMPT:], prompt.shape[1])]),
    )
    return torch.cat(output.logits)


def _in_blocks(model: PreTrainedModel, ids: Tensor, way: Way) -> Tensor:
    """The same: the prompt with tokens that are taken back, then a block."""
    held = SequenceCache(model, way)
    held.settled = _PROMPT
    run = partial(_pass, model)
    if held.croppable:
        first = held.read(torch.cat((ids[:_PROMPT], ids[-_WRONG:])), 1 + _WRONG, run)[:1]
    else:  # or the way back would lead to the empty cache, and nothing would be read behind a state
        first = held.read(ids[:_PROMPT], 1, run)
        held.read(ids[-_WRONG:], _WRONG, run)
    if held.cache is None or (held.croppable and held.cache.get_seq_length() != _PROMPT + _WRONG):
        raise ModelError(
            f"got {type(model).__name__}, which keeps no key-value cache; expected a decoder that keeps one, "
            "from which rejected tokens can be taken back. If it is an encoder, load it with is_decoder=True"
        )
    held.crop(_PROMPT)
    block = held.read(ids[held.length : _PROMPT + _STEPS - 1], _STEPS - 1, run)
    return torch.cat((first, block))


def _pass(model: PreTrainedModel, ids: Tensor, start: int, cache: Any, keep: int) -> tuple[Tensor, Any]:
    given: dict[str, Any] = {}
    if takes_positions(model):
        given["position_ids"] = torch.arange(start, start + len(ids), device=ids.device)[None]
    given[cache_argument(type(model))] = cache
    output = model(input_ids=ids[None], use_cache=True, return_dict=True, **given)
    logits: Tensor = output.logits[0, -keep:]
    return logits, cache_returned(output) if cache is None else cache


def near(found: Tensor, expected: Tensor) -> bool:
    """Whether logits ``[n, V]`` are those expected, but for rounding."""
    if found.shape != expected.shape:
        return False
    wanted = expected.double()
    likeliest = wanted.topk(min(_CONSIDERED, wanted.shape[-1])).indices
    off = (found.to(wanted) - wanted).gather(-1, likeliest).abs().amax(-1) / wanted.std(-1)
    limit = _FAR.get(found.dtype)
    worst = off.sort(descending=True).values[:2]
    return bool(worst[-1] <= _FAR_IN_HALF if limit is None else worst[0] <= limit)


@torch.no_grad()
def _verdict_on_padding(model: PreTrainedModel) -> str:
    ids = text(model)
    try:
        found, expected = _one_by_one(model, ids, _PADDING), _one_by_one(model, ids)
    except Exception as error:
        return f"got padded rows, with which generate of {type(model).__name__} fails ({_told(error)})"
    if near(found, expected):
        return ""
    return (
        f"got padded rows for {type(model).__name__}, whose positions count the padding, so that it reads "
        "them otherwise than by themselves; expected rows of one length. Call generate once a row"
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def takes_positions(model: PreTrainedModel) -> bool:
    """Whether the model takes the positions of its tokens as an argument."""
    return "position_ids" in inspect.signature(type(model).forward).parameters
