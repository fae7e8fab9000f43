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

PLACEHOLDER = 98
"""What stands for a part of a picture."""

_SIDE = 28
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


FAMILIES = {
    family.name: family
    for family in (
        Family("qwen2_vl", {}, _grid(14), "mm_token_type_ids"),
        Family("qwen2_5_vl", {"vision_config": {**_OUT, "window_size": 56}}, _grid(14), "mm_token_type_ids"),
        Family("qwen3_vl", {"vision_config": _OUT}, _grid(16), "mm_token_type_ids"),
        Family("glm4v", {"vision_config": _OUT}, _grid(14), "mm_token_type_ids"),
        Family("llava", {"vision_config": _CLIP}, _plain()),
        Family("gemma3", {"vision_config": {**_CLIP, "image_size": 56}, "mm_tokens_per_image": 4}, _plain(56), "token_type_ids"),
        Family("paligemma", {"vision_config": {**_CLIP, "projection_dim": 64}, "projection_dim": 64}, _plain(), "token_type_ids"),
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
    made.generation_config = GenerationConfig(pad_token_id=0, suppress_tokens=[PLACEHOLDER])
    return made


def inputs(name: str, model: Any, seed: int = 0, before: int = 5, after: int = 7) -> dict[str, Tensor]:
    """A text with one picture in it, as the family's processor would make it."""
    family = FAMILIES[name]
    pictures = family.made(seed)
    with torch.no_grad():
        features = model.get_image_features(**pictures).pooler_output
    count = sum(part.reshape(-1, part.shape[-1]).shape[0] for part in ([features] if isinstance(features, Tensor) else features))
    generator = torch.Generator().manual_seed(100 + seed)
    text = torch.randint(96, (before + after,), generator=generator)
    ids = torch.cat((text[:before], torch.full((count,), PLACEHOLDER), text[before:]))[None]
    made = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pictures}
    if family.types is not None:
        made[family.types] = (ids == PLACEHOLDER).long()
    return made
