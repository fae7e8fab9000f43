"""Which files of a folder hold its model's weights: those that transformers reads."""

from __future__ import annotations

from pathlib import Path

from anydraft.loading.reading import read_object

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_AGAIN = "consolidated"
"""How a second copy is named, in its makers' own layout (Mistral's)."""


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a transformers folder, each weight once; none where it has no such files.

    ``model.safetensors``, else those of the index that are there, else all but a consolidated copy.
    """
    if (folder / _SINGLE).exists():
        return [folder / _SINGLE]
    indexed = read_object(folder / _INDEX).get("weight_map")
    names = set(indexed.values()) if isinstance(indexed, dict) and _are_names(indexed) else set()
    found = sorted(folder / name for name in names if (folder / name).is_file())
    return found or sorted(f for f in folder.glob("*.safetensors") if not f.name.startswith(_AGAIN))


def _are_names(indexed: dict[str, object]) -> bool:
    """Whether an index names files of its own folder only."""
    return all(isinstance(name, str) and name == Path(name).name for name in indexed.values())
