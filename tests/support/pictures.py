"""Tiny random models that read pictures or sounds, with inputs as their processors make them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

import shrunk
import small

PLACEHOLDER = 96
"""What stands for a part of a picture."""

_LEAVES_ATTENTION = ("self_attn.o_proj.weight", "attention.o_proj.weight")
_CALM = 0.03
"""How much of what was looked at counts, so that a draft that has not seen the picture is often right."""

_SIDE = 28
_LLAMA4 = {
    "intermediate_size": 256,
    "projector_input_dim": 64,
    "projector_output_dim": 64,
    "vision_output_dim": 64,
}
_OUT = {"out_hidden_size": 64}
_CLIP = {"image_size": _SIDE, "patch_size": 14}


class Family(NamedTuple):
    """How a model of a name is made, and what its processor would hand over."""

    name: str
    changes: dict[str, Any]
    """Of the configuration."""
    made: Callable[[int], dict[str, Tensor]]
    """From a seed to the tensors of one picture."""
    types: str | None = None
    """The argument that tells pictures from text, if there is one."""
    calm: float = _CALM


def _plain(side: int = _SIDE) -> Callable[[int], dict[str, Tensor]]:
    return lambda seed: {"pixel_values": _noise(seed, 1, 3, side, side)}


def _grid(patch: int, frames: int = 2) -> Callable[[int], dict[str, Tensor]]:
    """A picture of 4 by 6 patches, or of 6 by 4 for odd seeds: other sides, other positions."""

    def made(seed: int) -> dict[str, Tensor]:
        rows, columns = ((4, 6), (8, 4))[seed % 2]
        pixels = _noise(seed, rows * columns, 3 * frames * patch * patch)
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, rows, columns]])}

    return made


def _noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _sized(seed: int) -> dict[str, Tensor]:
    return {**_plain(56)(seed), "image_sizes": torch.tensor([[56, 56]])}


def _several(seed: int) -> dict[str, Tensor]:
    return {"pixel_values": _noise(seed, 1, 1, 3, 56, 56)}


def _heard(seed: int) -> dict[str, Tensor]:
    return {"input_features": _noise(seed, 1, 128, 32)}


FAMILIES = {
    family.name: family
    for family in (
        Family("qwen2_vl", {}, _grid(14), "mm_token_type_ids"),
        Family("qwen2_5_vl", {"vision_config": {**_OUT, "window_size": 56}}, _grid(14), "mm_token_type_ids"),
        Family("qwen3_vl", {"vision_config": _OUT}, _grid(16), "mm_token_type_ids"),
        Family("glm4v", {"vision_config": _OUT}, _grid(14), "mm_token_type_ids"),
        Family("llava", {"vision_config": _CLIP}, _plain()),
        Family(
            "gemma3",
            {
                "vision_config": {**_CLIP, "image_size": 56},
                "mm_tokens_per_image": 4,
                "tie_word_embeddings": False,
            },
            _plain(56),
            "token_type_ids",
        ),
        Family("qwen3_vl_moe", {"vision_config": _OUT}, _grid(16), "mm_token_type_ids"),
        Family("internvl", {"vision_config": {"image_size": [56, 56], "patch_size": [14, 14]}}, _plain(56)),
        Family("mistral3", {"vision_config": _CLIP, "image_token_index": PLACEHOLDER}, _sized),
        Family("llama4, pictures", {"vision_config": {**_LLAMA4, **_CLIP}}, _plain()),
        Family("smolvlm", {"vision_config": {**_CLIP, "image_size": 56}, "scale_factor": 2}, _several),
        Family(
            "paligemma",
            {
                "vision_config": {**_CLIP, "projection_dim": 64},
                "projection_dim": 64,
                "image_token_index": PLACEHOLDER,
            },
            _plain(),
            "token_type_ids",
            calm=1.0,  # or it says one token again and again
        ),
        Family(
            "voxtral",
            {
                "audio_config": {"max_source_positions": 16, "intermediate_size": 256},
                "audio_token_id": PLACEHOLDER,
            },
            _heard,
        ),
    )
}


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """All of ASCII, and the placeholder."""
    made = copy.deepcopy(small.characters())
    made.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return made


def model(name: str, *, seed: int = 0) -> PreTrainedModel:
    """A tiny random model of a family, which ends at no token."""
    family = FAMILIES[name]
    made = shrunk.shrunk(name, PLACEHOLDER + 1, seed=seed, **family.changes)
    for config in (made.config, made.config.get_text_config(decoder=True)):
        config.eos_token_id, config.pad_token_id = None, 0
    made.generation_config = GenerationConfig(pad_token_id=0)
    for label, values in made.named_parameters():
        if label.endswith(_LEAVES_ATTENTION):
            values.data *= FAMILIES[name].calm
    return made


def inputs(name: str, model: Any, seed: int = 0, before: int = 5, after: int = 7) -> dict[str, Tensor]:
    """A text with one picture in it, as the family's processor would make it."""
    family = FAMILIES[name]
    pictures = family.made(seed)
    read = model.get_audio_features if "input_features" in pictures else model.get_image_features
    with torch.no_grad():
        output = read(**pictures)
    features = output.last_hidden_state if output.pooler_output is None else output.pooler_output
    count = sum(
        part.reshape(-1, part.shape[-1]).shape[0]
        for part in ([features] if isinstance(features, Tensor) else features)
    )
    generator = torch.Generator().manual_seed(100 + seed)
    text = torch.randint(96, (before + after,), generator=generator)
    ids = torch.cat((text[:before], torch.full((count,), PLACEHOLDER), text[before:]))[None]
    made = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pictures}
    if family.types is not None:
        made[family.types] = (ids == PLACEHOLDER).long()
    return made
