"""A ``GenerationConfig`` of transformers as sampling options; what cannot be honoured is refused by name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from transformers import GenerationConfig

from anydraft.errors import ArgumentError

_TOP_K = 50
"""What ``generate`` of transformers takes where neither config says one."""

TAKEN = frozenset(
    {
        "do_sample",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "repetition_penalty",
        "max_new_tokens",
        "max_length",
        "min_new_tokens",
        "min_length",
        "eos_token_id",
        "stop_strings",
        "max_time",
    }
)
"""The settings that are read."""

_NO_MATTER = frozenset(
    {
        "use_cache",
        "cache_implementation",
        "cache_config",
        "max_cache_len",
        "return_legacy_cache",
        "prefill_chunk_size",
        "low_memory",
        "compile_config",
        "disable_compile",
        "early_stopping",
        "length_penalty",
        "renormalize_logits",
        "return_dict_in_generate",
        "pad_token_id",
        "bos_token_id",
        "decoder_start_token_id",
        "transformers_version",
    }
)
"""How a text is computed or handed over, and what concerns beams or batches only: the text is the same."""

_LENGTHS = frozenset({"max_new_tokens", "max_length"})
"""Those that a model's own config is not asked for."""

_OFF_AT_1 = frozenset(
    {
        "num_beams",
        "num_beam_groups",
        "num_return_sequences",
        "typical_p",
        "encoder_repetition_penalty",
        "guidance_scale",
    }
)
"""Off at 1; the other settings are off where they are nothing: 0, false or empty."""


def keywords_of(
    config: GenerationConfig, own: object, prompt_length: int, explicit: Collection[str] = ()
) -> dict[str, Any]:
    """The sampling options that ``config`` stands for, without those that are ``explicit``.

    As ``generate(generation_config=config)`` reads it: what it leaves unsaid is taken from ``own``, the
    target's own config (or nothing), then from transformers' defaults; but a length comes from ``config``
    alone. Without ``do_sample`` the temperature is 0. ``max_length`` and ``min_length`` count the prompt.

    Raises:
        ArgumentError: something else than a config, a setting that cannot be honoured, or a prompt that is
            as long as ``max_length``.
    """
    if not isinstance(config, GenerationConfig):
        raise ArgumentError(
            f"got generation_config of type {type(config).__name__}; expected a GenerationConfig of "
            "transformers. Give single values as keywords, such as temperature=0.7"
        )
    said = _said(config, own)
    _check(said, config)
    same = ("top_p", "min_p", "repetition_penalty", "max_time", "eos_token_id", "max_new_tokens")
    found: dict[str, Any] = {name: said[name] for name in same if name in said}
    found["temperature"] = said.get("temperature", 1.0) if said.get("do_sample") else 0.0
    found["top_k"] = said.get("top_k", _TOP_K)
    if "stop_strings" in said:  # here they lie behind the prompt; there one may begin in it
        found["stop"] = said["stop_strings"]
    if "max_new_tokens" not in said and "max_length" in said and "max_new_tokens" not in explicit:
        found["max_new_tokens"] = _room(said["max_length"], prompt_length)
    least = said.get("min_length", 0) - prompt_length
    if "min_new_tokens" in said or least > 0:
        found["min_new_tokens"] = max(said.get("min_new_tokens", least), least)
    return {name: value for name, value in found.items() if name not in explicit}


def _said(config: GenerationConfig, own: object) -> dict[str, Any]:
    """The settings that differ from those of an empty config, in ``config`` or else in ``own``."""
    make: Any = GenerationConfig
    said = {}
    for name, usual in vars(make()).items():
        sources = (config,) if name in _LENGTHS else (config, own)
        values = (getattr(source, name, None) for source in sources)
        value = next((value for value in values if value is not None and value != usual), None)
        if value is not None:
            said[name] = value
    return said


def _check(said: dict[str, Any], config: GenerationConfig) -> None:
    """Refuse what would change the text, or what is returned, and is not known here."""
    refused = [
        f"{name}={value!r}" + ("" if getattr(config, name, None) == value else " (the target's own)")
        for name, value in said.items()
        if name not in TAKEN | _NO_MATTER and not name.startswith("_") and not _off(name, value)
    ]
    if said.get("cache_implementation") == "quantized":
        refused.append("cache_implementation='quantized'")
    if refused:
        raise ArgumentError(
            f"got a generation_config with {', '.join(refused)}; expected no settings but "
            f"{', '.join(sorted(TAKEN))}. Leave it out; what transformers has as a logits processor can be "
            "given as logits_processor="
        )


def _off(name: str, value: Any) -> bool:
    return bool(value == 1) if name in _OFF_AT_1 else not value


def _room(max_length: Any, prompt_length: int) -> Any:
    """The tokens left of ``max_length``; what is no whole number is left to the check of options."""
    if not isinstance(max_length, int):
        return max_length
    if max_length <= prompt_length:
        raise ArgumentError(
            f"got max_length={max_length} in a generation_config and a prompt of {prompt_length} tokens, "
            "which it counts; expected more. Say max_new_tokens instead"
        )
    return max_length - prompt_length
