"""Generation configurations, as functions from a world to a call of ``generate``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessorList,
    StoppingCriteriaList,
    SynthIDTextWatermarkingConfig,
    TextIteratorStreamer,
    WatermarkingConfig,
)

from generate_parts import (
    Counting,
    GoingOn,
    Listening,
    LongEnough,
    OfAllRows,
    Printing,
    Shifted,
    SureEnough,
    Trie,
    Writing,
)
from generating import Call, World

Case = Callable[[World], Call]


Options = Callable[[World], dict[str, Any]]


OPTIONS: dict[str, Options] = {
    "nothing": lambda w: {},
    "one token": lambda w: {"max_new_tokens": 1},
    "max_length": lambda w: {"max_new_tokens": None, "max_length": w.inputs(3)["input_ids"].shape[1] + 9},
    "both lengths": lambda w: {"max_length": 5, "max_new_tokens": w.length - 1},
    "min_new_tokens": lambda w: {"eos_token_id": w.said[3], "min_new_tokens": 6},
    "min_length": lambda w: {"eos_token_id": w.said[3], "min_length": w.inputs(3)["input_ids"].shape[1] + 5},
    "end token": lambda w: {"eos_token_id": w.said[5]},
    "end tokens": lambda w: {"eos_token_id": [w.said[8], w.said[6], 0]},
    "end at once": lambda w: {"eos_token_id": w.said[0]},
    "no end token": lambda w: {
        "generation_config": GenerationConfig(max_new_tokens=w.length, pad_token_id=0)
    },
    "repetition_penalty": lambda w: {"repetition_penalty": 1.6},
    "repetition reward": lambda w: {"repetition_penalty": 0.8},
    "encoder_repetition_penalty": lambda w: {"encoder_repetition_penalty": 1.5},
    "no_repeat_ngram": lambda w: {"no_repeat_ngram_size": 2},
    "no repeated token": lambda w: {"no_repeat_ngram_size": 1},
    "encoder_no_repeat_ngram": lambda w: {"encoder_no_repeat_ngram_size": 1},
    "bad word": lambda w: {"bad_words_ids": [[w.said[4]]]},
    "bad words": lambda w: {"bad_words_ids": [w.said[4:6], w.said[2:5], [w.said[7]]]},
    "sequence_bias": lambda w: {"sequence_bias": {(w.said[2],): -6.0, (w.said[4], w.said[5]): -9.0}},
    "suppress_tokens": lambda w: {"suppress_tokens": [w.said[1], w.said[6]]},
    "begin_suppress_tokens": lambda w: {"begin_suppress_tokens": [w.said[0]]},
    "forced end": lambda w: {"forced_eos_token_id": w.target_tokenizer.eos_token_id},
    "forced ends": lambda w: {"forced_eos_token_id": [3, w.target_tokenizer.eos_token_id]},
    "exponential decay": lambda w: {"eos_token_id": 9, "exponential_decay_length_penalty": (3, 1.7)},
    "finite numbers": lambda w: {"remove_invalid_values": True, "renormalize_logits": True},
    "guidance": lambda w: {"guidance_scale": 1.5},
    "watermark": lambda w: {"watermarking_config": WatermarkingConfig(bias=3.0)},
    "prefix_allowed_tokens": lambda w: {"prefix_allowed_tokens_fn": lambda row, ids: _allowed(w, row, ids)},
    "several penalties": lambda w: {
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 3,
        "suppress_tokens": [w.said[3]],
        "eos_token_id": [w.said[9]],
        "min_new_tokens": 4,
    },
    "stop string": lambda w: {"stop_strings": w.text(4, 6)},
    "stop strings": lambda w: {"stop_strings": ["never said", w.text(7, 8), w.text(3, 5)]},
    "stop inside a token": lambda w: {"stop_strings": [w.text(2, 6)[1:-1]]},
    "stop and tokenizer": lambda w: {"stop_strings": [w.text(3, 4)], "tokenizer": w.target_tokenizer},
    "stop in the config": lambda w: {
        "generation_config": GenerationConfig(
            max_new_tokens=w.length, stop_strings=[w.text(5, 7)], **_special(w)
        )
    },
    "stop that never comes": lambda w: {"stop_strings": ["%%%"]},
    "no time": lambda w: {"max_time": 1e-9},
    "time enough": lambda w: {"max_time": 1000.0},
    "criterion": lambda w: {"stopping_criteria": StoppingCriteriaList([LongEnough(w, 7)])},
    "criterion in a list": lambda w: {"stopping_criteria": [LongEnough(w, 4), LongEnough(w, 9)]},
    "criterion of scores": lambda w: {
        "stopping_criteria": [SureEnough()],
        "output_scores": True,
        "return_dict_in_generate": True,
    },
    "processor": lambda w: {"logits_processor": LogitsProcessorList([Shifted()])},
    "processor that writes": lambda w: {"logits_processor": [Writing()]},
    "processor that counts": lambda w: {"logits_processor": [Counting(w.said[2], at=5)]},
    "processor that goes on": lambda w: {"logits_processor": [GoingOn()], "eos_token_id": w.said[7]},
    "processor of all rows": lambda w: {"logits_processor": [OfAllRows()]},
    "scores of a processor that counts": lambda w: _dict(
        "scores", "logits", logits_processor=[Counting(w.said[2], at=5)], eos_token_id=w.said[5]
    ),
    "processor and a stop": lambda w: {
        "logits_processor": [GoingOn()],
        "stop_strings": [w.text(4, 6)],
        "repetition_penalty": 1.2,
    },
    "trie": lambda w: {"prefix_allowed_tokens_fn": Trie(w)},
    "trie and penalties": lambda w: {"prefix_allowed_tokens_fn": Trie(w), "no_repeat_ngram_size": 2},
    "SynthID": lambda w: {"watermarking_config": SynthIDTextWatermarkingConfig(keys=[1, 2, 3], ngram_len=3)},
    "generation_config": lambda w: {
        "generation_config": GenerationConfig(max_new_tokens=6, repetition_penalty=1.2, **_special(w))
    },
    "generation_config and more": lambda w: {
        "generation_config": GenerationConfig(max_new_tokens=6, **_special(w)),
        "max_new_tokens": 9,
        "suppress_tokens": [w.said[2]],
    },
    "sampling values": lambda w: {"temperature": 0.7, "top_k": 5, "top_p": 0.9},
    "use_cache": lambda w: {"use_cache": False},
    "static cache": lambda w: {"cache_implementation": "static"},
    "dict": lambda w: {"return_dict_in_generate": True},
    "scores": lambda w: _dict("scores", repetition_penalty=1.4),
    "logits": lambda w: _dict("logits", repetition_penalty=1.4),
    "scores and logits": lambda w: _dict("scores", "logits", eos_token_id=w.said[5], max_new_tokens=8),
    "scores at a stop": lambda w: _dict("scores", stop_strings=[w.text(4, 5)]),
    "hidden states": lambda w: _dict("hidden_states", max_new_tokens=7),
    "everything": lambda w: _dict("scores", "logits", "hidden_states", eos_token_id=w.said[5]),
    "dict without a cache": lambda w: _dict("scores", use_cache=False),
    "own cache": lambda w: {"past_key_values": DynamicCache(config=w.target.config), **_dict()},
    "bare cache": lambda w: {"past_key_values": DynamicCache(), **_dict()},
}
"""Served with one row, and with several that are padded."""


SLIDING = [
    name + rows
    for rows in ("", ", rows")
    for name in ("nothing", "dict", "everything", "own cache", "bare cache", "scores at a stop", "use_cache")
] + ["filled cache", "half-filled cache", "one padded row, dict"]
"""Where a sliding window could show."""


def case(options: Options, rows: int) -> Case:
    """``options`` for so many rows."""
    return lambda w: Call(w.inputs(rows), {"max_new_tokens": w.length, **_fitting(options(w))})


def cases() -> dict[str, Case]:
    """Every configuration, by name."""
    found = {name: case(options, 1) for name, options in OPTIONS.items()}
    found |= {f"{name}, rows": case(options, 3) for name, options in OPTIONS.items()}
    return found | SINGLE


def real_cases() -> list[str]:
    """Those for models that take their time: every one with a single row, and some with several."""
    rows = [f"{name}, rows" for name in ("end tokens", "several penalties", "stop strings", "everything")]
    return [*OPTIONS, *rows, *SINGLE]


def _fitting(options: dict[str, Any]) -> dict[str, Any]:
    """A generation config has its own length."""
    if "generation_config" in options:
        options.setdefault("max_new_tokens", options["generation_config"].max_new_tokens)
    return options


def _dict(*outputs: str, **options: Any) -> dict[str, Any]:
    return {"return_dict_in_generate": True, **{f"output_{name}": True for name in outputs}, **options}


def _special(w: World) -> dict[str, Any]:
    config = w.target.generation_config
    return {"eos_token_id": config.eos_token_id, "pad_token_id": config.pad_token_id}


def _allowed(w: World, row: int, ids: Tensor) -> list[int]:
    """Tokens of the parity of the row and the last token."""
    return list(range((int(ids[-1]) + row) % 2, len(w.target_tokenizer), 2))


def _listening(w: World, rows: int, **options: Any) -> Call:
    streamer = Listening()
    options = {"max_new_tokens": w.length, **options, "streamer": streamer}
    return Call(w.inputs(rows), options, lambda: streamer.heard)


def _printing(w: World, **options: Any) -> Call:
    streamer = Printing(w.target_tokenizer, skip_prompt=True)
    options = {"max_new_tokens": w.length, **options, "streamer": streamer}
    return Call(w.inputs(), options, lambda: streamer.pieces)


def _iterating(w: World) -> Call:
    streamer = TextIteratorStreamer(w.target_tokenizer, timeout=60, skip_special_tokens=True)
    options = {"max_new_tokens": w.length, "streamer": streamer}
    return Call(w.inputs(), options, lambda: list(streamer))


def _one_id(w: World, **options: Any) -> Call:
    ids = w.inputs()["input_ids"][:, -1:]
    return Call(
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, {"max_new_tokens": w.length, **options}
    )


def _known(w: World) -> Call:
    """A cache that has read all but the last token of the prompt."""
    inputs = w.inputs()
    cache = DynamicCache(config=w.target.config)
    with torch.no_grad():
        w.target(inputs["input_ids"][:, :-1], past_key_values=cache)
    return Call(
        inputs, {"max_new_tokens": w.length, "past_key_values": cache, "return_dict_in_generate": True}
    )


def _half_known(w: World) -> Call:
    """A cache that has read half of the prompt."""
    inputs = w.inputs()
    cache = DynamicCache(config=w.target.config)
    with torch.no_grad():
        w.target(inputs["input_ids"][:, : inputs["input_ids"].shape[1] // 2], past_key_values=cache)
    return Call(
        inputs, {"max_new_tokens": w.length, "past_key_values": cache, "return_dict_in_generate": True}
    )


def _without_mask(w: World) -> Call:
    return Call({"input_ids": w.inputs()["input_ids"]}, {"max_new_tokens": w.length})


def _short_ints(w: World) -> Call:
    inputs = w.inputs()
    return Call({**inputs, "input_ids": inputs["input_ids"].int()}, {"max_new_tokens": w.length})


def _padded_alone(w: World, **options: Any) -> Call:
    """One row that is padded, as a batch's row may be after a filter."""
    inputs = {name: value[:1] for name, value in w.inputs(3).items()}
    return Call(inputs, {"max_new_tokens": w.length, **options})


def _guided(w: World, rows: int) -> Call:
    """Away from the prompts of the other rows."""
    inputs, other = w.inputs(rows), w.inputs(3)
    negative = {
        f"negative_prompt_{name.replace('input_', '')}": v.flip(0)[:rows] for name, v in other.items()
    }
    return Call(inputs, {"max_new_tokens": w.length, "guidance_scale": 1.3, "top_k": 5, **negative})


SINGLE: dict[str, Case] = {
    "negative prompt": lambda w: _guided(w, 1),
    "negative prompts, rows": lambda w: _guided(w, 3),
    "streamer": lambda w: _listening(w, 1),
    "streamer, rows": lambda w: _listening(w, 3),
    "streamer and an end": lambda w: _listening(w, 1, eos_token_id=w.said[5]),
    "streamer and ends, rows": lambda w: _listening(w, 3, eos_token_id=w.said[5]),
    "streamer and a stop": lambda w: _listening(w, 1, stop_strings=w.text(4, 6)),
    "text streamer": lambda w: _printing(w),
    "text streamer and a stop": lambda w: _printing(w, stop_strings=w.text(4, 6)),
    "text iterator": _iterating,
    "prompt of one token": _one_id,
    "forced first token": lambda w: _one_id(w, forced_bos_token_id=w.said[4]),
    "filled cache": _known,
    "half-filled cache": _half_known,
    "no mask": _without_mask,
    "32-bit ids": _short_ints,
    "one padded row": _padded_alone,
    "one padded row, penalties": lambda w: _padded_alone(w, repetition_penalty=1.5, no_repeat_ngram_size=2),
    "one padded row, dict": lambda w: _padded_alone(w, **_dict("scores", "logits", "hidden_states")),
}
"""Configurations with inputs of their own."""


ATTENTIONS: dict[str, Case] = {
    f"attentions{', rows' * (rows > 1)}": case(
        lambda w: _dict("attentions", "hidden_states", max_new_tokens=8), rows
    )
    for rows in (1, 3)
} | {
    "attentions of a padded row": lambda w: _padded_alone(w, **_dict("attentions", "hidden_states")),
    "attentions after a cache": lambda w: _after(_half_known(w), **_dict("attentions", "hidden_states")),
    "attentions without a cache": case(lambda w: _dict("attentions", "hidden_states", use_cache=False), 1),
}
"""For eager attention, which alone tells its weights."""


def _after(call: Call, **options: Any) -> Call:
    call.options.update(options)
    return call
