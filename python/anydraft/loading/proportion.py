"""A model's config in proportion to its weights, looked at before a library makes what the config names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from anydraft.errors import ModelFileError
from anydraft.loading.needs import shapes
from anydraft.loading.reading import read_object, reading
from anydraft.loading.weight_files import weight_files

_WIDTH = re.compile(r"(size|dim|heads|experts|rank|n_embd|n_inner|n_head)$")
_LAYERS = re.compile(r"^(num_hidden_layers|n_layers?|num_layers)$")
_WIDEST = 64
"""So often may a width be that of the weights: packed numbers are fewer than those that they stand for."""
_ALWAYS = 1 << 16
"""Such a width is always read."""


def require_proportion(folder: Path) -> None:
    """Refuse a config with more layers than its files have tensors, or widths far beyond theirs.

    The library takes time for each layer, and memory for each width, before it sees that the weights are
    others. Only told of safetensors files.

    Raises:
        ModelFileError: there is such a number, or a damaged file.
    """
    files = weight_files(folder)
    others = any(folder.glob("*.bin")) and not any(folder.glob("model*.safetensors"))
    if not files or others:  # the model is then in files of another kind
        return
    with reading(folder, "a causal model"):
        found = [shape for file in files for shape in shapes(file)]
        sides = [side for shape in found for side in shape]
        if not all(isinstance(side, int) for side in sides):
            raise ValueError("its header has shapes that are no numbers")
        widest = max(sides, default=0)
    config = read_object(folder / "config.json")
    for part in (config, *(inner for inner in config.values() if isinstance(inner, dict))):
        for key, value in part.items():
            if _LAYERS.search(key) and _number(value) > len(found):
                raise ModelFileError(_told(folder, key, value, f"{len(found)} tensors in all"))
            if _WIDTH.search(key) and _number(value) > max(_ALWAYS, _WIDEST * widest):
                raise ModelFileError(_told(folder, key, value, f"no side longer than {widest}"))


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) else 0


def _told(folder: Path, key: str, value: Any, has: str) -> str:
    return (
        f"got {folder}, whose config.json says {key}={value:.9g} where its weights have {has}; expected a "
        "config in proportion to them. One of the two is damaged, or made to take memory"
    )
