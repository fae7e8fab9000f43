"""What the files beside a tokenizer say of its model, without its weights: windows, rows, end tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anydraft.loading.gguf_header import read_header
from anydraft.loading.reading import read_object
from anydraft.loading.weight_files import weight_files
from anydraft.models.layer_kinds import ATTENTION, CONVOLUTION
from anydraft.models.proven import CONVOLUTIONAL, PROVEN, SINGLY, STATEFUL


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
    rollback: str | None = None
    """How rejected tokens are taken back from its cache: one of the sentences below."""
    bytes: int | None = None
    """The size of its weights as the files have them."""


CROPPED = "cropped: keys and values"
RECORDED = "cropped: keys, values and inputs of convolutions"
READ_AGAIN = "copied states; accepted tokens are read again"
ONE_A_PASS = "copied states; tokens are read one a pass"
TRIED = "tried at first use"


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
    config = read_object(folder / "config.json")
    inner = config.get("text_config")
    text = inner if isinstance(inner, dict) else config
    generation = read_object(folder / "generation_config.json")
    named = (read.get("eos_token_id") for read in (generation, text, config))
    ends = next((value for value in named if value is not None), None)  # 0 is an id too
    sliding = text.get("sliding_window") if text.get("use_sliding_window", True) else None
    return ModelFacts(
        window=_whole(text.get("max_position_embeddings")),
        sliding_window=_whole(sliding),
        rows=_whole(text.get("vocab_size") or config.get("vocab_size")),
        end_ids=tuple(i for i in (ends if isinstance(ends, list) else [ends]) if isinstance(i, int)),
        rollback=_rollback(config.get("architectures"), text.get("layer_types")),
        bytes=sum(file.stat().st_size for file in weight_files(folder)) or None,
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
        rollback=_rollback(None, _gguf_kinds(header, str(kind))),
        bytes=file.stat().st_size,
    )


def _rollback(classes: Any, kinds: Any) -> str | None:
    """The sentence for a class of transformers and the kinds of its layers, as far as they are named."""
    name = classes[0] if isinstance(classes, list) and classes else None
    states = set(kinds if isinstance(kinds, list) else ()) - ATTENTION
    if states == {CONVOLUTION} or (not kinds and name in CONVOLUTIONAL):
        return RECORDED
    if states or name in STATEFUL:
        return ONE_A_PASS if name in SINGLY else READ_AGAIN
    if name in PROVEN or (name is None and kinds):
        return CROPPED
    return None if name is None else TRIED


def _gguf_kinds(header: dict[str, Any], kind: str) -> list[str]:
    """What a GGUF file tells of its layers: what they keep beside keys and values has settings of its own."""
    found = {key.removeprefix(f"{kind}.").split(".")[0] for key in header}
    if found & {"ssm", "wkv"}:
        return ["linear_attention"]
    return [CONVOLUTION if "shortconv" in found else "full_attention"]


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
