"""``dtype="auto"``: the number format that a model is loaded in when nobody names one.

On an accelerator the checkpoint's own. On a CPU the quicker one of the checkpoint's own and float32, which
holds the same numbers: both are tried once in a process, on matrices as wide as those of a small model.
Float32 is only chosen where it takes less than half of the memory left. A GGUF file has no such format: it
becomes float32 on a CPU with as much room, else bfloat16.
"""

from __future__ import annotations

import json
import struct
import time
from collections import Counter
from functools import cache
from math import prod
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch.nn.functional import linear

from anydraft.errors import ArgumentError
from anydraft.loading.memory import available_bytes
from anydraft.loading.needs import Packed, needed_bytes
from anydraft.loading.quantised import FILE as QUANTISED
from anydraft.loading.reading import read_object
from anydraft.loading.weight_files import weight_files

Format: TypeAlias = torch.dtype | Literal["auto"] | Packed

_NAMES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
_ROWS = (1, 6)
"""A pass over one token, and over a block."""
_WIDE = (8192, 2048)
"""More than caches hold, in either format."""
_CLEARLY = 0.8
_REPEATS = 5


def require_format(dtype: Format) -> None:
    """Refuse what no model is loaded in.

    Raises:
        ArgumentError: no floating-point ``torch.dtype`` of 16 bits or more, nor ``"auto"`` or ``"packed"``.
    """
    known = dtype in _NAMES.values() if isinstance(dtype, torch.dtype) else dtype in ("auto", "packed")
    if not known:
        raise ArgumentError(
            f"got dtype={dtype!r}; expected a torch.dtype, such as torch.float32, torch.bfloat16, "
            "torch.float16 or torch.float64, or 'auto' or 'packed'"
        )


def resolved(found: Path, dtype: torch.dtype | Literal["auto"], device: torch.device | str) -> torch.dtype:
    """The number format for the model of a folder or GGUF file.

    Raises:
        ModelFileError: a damaged file.
    """
    if dtype != "auto":
        return dtype
    own = torch.bfloat16 if found.is_file() else own_format(found)
    if own is None or own == torch.float64 or (found / QUANTISED).exists():
        return torch.float32
    if torch.device(device).type != "cpu" or own == torch.float32:
        return own
    needed, left = needed_bytes(found, torch.float32), available_bytes()
    if needed is None or (left is not None and needed > left // 2):
        return own
    return torch.float32 if found.is_file() or not quicker_than_float32(own) else own


def own_format(folder: Path) -> torch.dtype | None:
    """What most numbers of a folder's weights are kept in, of the formats that a model can be loaded in.

    Weights of fewer bits are loaded in what they stand for: their scales' format, else what the config says.
    ``None`` where no file says it.
    """
    counts: Counter[str] = Counter()
    for file in weight_files(folder):
        counts.update(_formats(file))
    known = next((_NAMES[name] for name, _ in counts.most_common() if name in _NAMES), None)
    if known is not None:
        return known
    config = read_object(folder / "config.json")
    inner = config.get("text_config")
    parts = (inner if isinstance(inner, dict) else {}, config)
    told = [part.get(key) for part in parts for key in ("dtype", "torch_dtype")]
    found = getattr(torch, str(next((name for name in told if name), "")), None)
    return found if isinstance(found, torch.dtype) else None


@cache
def quicker_than_float32(dtype: torch.dtype) -> bool:
    """Whether this CPU clearly multiplies a few rows by a wide matrix sooner in ``dtype``: it is tried.

    Clearly, so that a slow moment decides differently from one process to the next as rarely as can be.
    """
    took = [sum(_seconds(each, rows) for rows in _ROWS) for each in (dtype, torch.float32)]
    return took[0] < _CLEARLY * took[1]


def _seconds(dtype: torch.dtype, rows: int) -> float:
    weight = torch.full(_WIDE, 0.5, dtype=dtype)
    x = torch.ones(rows, _WIDE[1], dtype=dtype)
    took = []
    with torch.inference_mode():
        for _ in range(_REPEATS):
            began = time.perf_counter()
            linear(x, weight)
            took.append(time.perf_counter() - began)
    return min(took)


def _formats(file: Path) -> Counter[str]:
    """How many numbers of each format a safetensors file has; none of a damaged one, which is told later."""
    try:
        with file.open("rb") as read:
            (length,) = struct.unpack("<Q", read.read(8))
            header = json.loads(read.read(min(length, file.stat().st_size)))
        tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
        found: Counter[str] = Counter()
        for tensor in tensors:
            found[tensor["dtype"]] += prod(tensor["shape"])
    except (OSError, struct.error, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return Counter()
    else:
        return found
