"""A model in a quarter of its size: matrices as whole numbers of one byte, with a scale for every row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from anydraft.errors import ModelFileError
from anydraft.loading.quiet import quiet
from anydraft.loading.reading import reading
from anydraft.loading.rounding import row_scales, to_steps

FILE = "model.int8.safetensors"

_SCALE = ".scale"


def save_quantised(model: PreTrainedModel, folder: Path) -> None:
    """Write config, generation config and weights; each matrix to the nearest of 255 steps a row."""
    folder.mkdir(parents=True, exist_ok=True)
    tied = getattr(model.config, "tie_word_embeddings", False)
    kept: dict[str, Tensor] = {}
    for name, weight in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        values = weight.detach().float().cpu()
        if values.dim() < 2:
            kept[name] = values.clone()
            continue
        kept[name + _SCALE] = row_scales(values)
        kept[name] = to_steps(values, kept[name + _SCALE]).to(torch.int8)
    save_file(kept, folder / FILE)
    config = model.config.to_diff_dict()
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    model.generation_config.save_pretrained(folder)


def load_quantised(folder: Path) -> PreTrainedModel:
    """The model in float32, in evaluation mode: what :func:`save_quantised` wrote, each step at its middle.

    Raises:
        ModelFileError: no such files, or such that do not belong together.
    """
    with quiet(), reading(folder, "a quantised model"):
        kept = load_file(folder / FILE)
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        made: Any = AutoModelForCausalLM
        model = made.from_config(config, dtype=torch.float32, trust_remote_code=False)
        model.generation_config = GenerationConfig.from_pretrained(str(folder), local_files_only=True)
        weights = {name: _restored(name, kept) for name in kept if not name.endswith(_SCALE)}
    own = model.state_dict()
    for name, weight in weights.items():
        if name in own and own[name].shape != weight.shape:
            raise ModelFileError(
                f"got {folder / FILE}, whose {name} has the shape {list(weight.shape)}, where config.json "
                f"beside it makes {list(own[name].shape)}; expected its own config. Take both files "
                "from one place"
            )
    missing, unexpected = model.load_state_dict(weights, strict=False)
    lacking = [name for name in missing if name != "lm_head.weight" or not config.tie_word_embeddings]
    if lacking or unexpected:
        raise ModelFileError(
            f"got {folder / FILE} without {lacking} and with {unexpected}; install anydraft anew"
        )
    model.tie_weights()
    ready: PreTrainedModel = model.eval()
    return ready


def _restored(name: str, kept: dict[str, Tensor]) -> Tensor:
    values = kept[name].float()
    return values * kept[name + _SCALE].unsqueeze(-1) if name + _SCALE in kept else values
