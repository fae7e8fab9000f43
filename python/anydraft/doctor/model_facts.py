"""What the files beside a tokenizer say of its model, without its weights: windows, rows, end tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anydraft.loading.gguf_header import read_header


@dataclass(frozen=True)
class ModelFacts:
    """``None`` where no file says it."""

    window: int | None = None
    """The longest text in tokens that the model was made for."""
    sliding_window: int | None = None
    """How far back its windowed layers look."""
    rows: int | None = None
    """Rows of the embedding: the width of the logits."""
    end_ids: tuple[int, ...] = ()
    """The ids at which plain decoding stops."""


@dataclass(frozen=True)
class Generation:
    """As much of a generation config as the pairing of control tokens reads."""

    eos_token_id: list[int] | None


def model_facts(path: Path) -> ModelFacts:
    """The facts beside a tokenizer: of a GGUF file, or of the folder that it is, or is in."""
    if path.suffix == ".gguf" and path.is_file():
        return _of_gguf(path)
    folder = path if path.is_dir() else path.parent if path.name == "tokenizer.json" else None
    return _of_folder(folder) if folder else ModelFacts()


def _of_folder(folder: Path) -> ModelFacts:
    config = _json(folder / "config.json")
    inner = config.get("text_config")
    text = inner if isinstance(inner, dict) else config
    generation = _json(folder / "generation_config.json")
    named = (read.get("eos_token_id") for read in (generation, text, config))
    ends = next((value for value in named if value is not None), None)  # 0 is an id too
    sliding = text.get("sliding_window") if text.get("use_sliding_window", True) else None
    return ModelFacts(
        window=_whole(text.get("max_position_embeddings")),
        sliding_window=_whole(sliding),
        rows=_whole(text.get("vocab_size") or config.get("vocab_size")),
        end_ids=tuple(i for i in (ends if isinstance(ends, list) else [ends]) if isinstance(i, int)),
    )


def _of_gguf(file: Path) -> ModelFacts:
    header = read_header(file)
    kind = header.get("general.architecture")
    end = header.get("tokenizer.ggml.eos_token_id")
    return ModelFacts(
        window=_whole(header.get(f"{kind}.context_length")),
        sliding_window=_whole(header.get(f"{kind}.attention.sliding_window")),
        rows=_whole(header.get("rows")),
        end_ids=(end,) if isinstance(end, int) else (),
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
