"""What a model will take of memory, told before its files are read; refused if it does not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from struct import unpack
from typing import Literal, TypeAlias

import torch

from anydraft.errors import ModelFileError
from anydraft.loading.gguf_header import TensorPlace, read_header
from anydraft.loading.memory import available_bytes
from anydraft.loading.reading import reading
from anydraft.loading.weight_files import weight_files

Packed: TypeAlias = Literal["packed"]

_GIB = 1 << 30


def needed_bytes(path: str | Path, dtype: torch.dtype | Packed = torch.float32) -> int | None:
    """Bytes that the weights at ``path`` will take in ``dtype``; ``None`` where the files do not tell.

    ``path``: a folder with safetensors files, or a GGUF file. ``"packed"``: as the GGUF file has them. A GGUF
    file that is de-quantised takes as much on the disk too, in the cache folder.

    Raises:
        ModelFileError: a damaged file.
    """
    found = Path(path)
    if found.is_file():
        size = found.stat().st_size
        if dtype == "packed":
            return size
        tensors: list[TensorPlace] = read_header(found)["tensors"]
        return sum(prod(tensor.shape) for tensor in tensors) * _size(dtype)
    files = weight_files(found)
    if not files or dtype == "packed":
        return None
    with reading(found, "a causal model"):
        return sum(prod(shape) for file in files for shape in shapes(file)) * _size(dtype)


def require_room(path: Path, dtype: torch.dtype | Packed) -> None:
    """Refuse a model that is larger than the memory that this machine, or this container, has left.

    Raises:
        ModelFileError: it is.
    """
    needed, room = needed_bytes(path, dtype), available_bytes()
    if needed is None or room is None or needed <= room:
        return
    ways = "a smaller dtype, such as torch.bfloat16" if dtype == torch.float32 else "a smaller model"
    if path.suffix == ".gguf" and dtype != "packed":
        own = needed_bytes(path, "packed") or 0
        ways += f", or dtype='packed', which takes {own / _GIB:.1f} GiB"
    raise ModelFileError(
        f"got {path}, which takes {needed / _GIB:.1f} GiB of memory as {str(dtype).removeprefix('torch.')}; "
        f"{room / _GIB:.1f} GiB are left. Load it with {ways}"
    )


def told_size(path: Path, dtype: torch.dtype) -> str:
    """What a model will take, as the end of a sentence; empty where the files do not tell."""
    needed = needed_bytes(path, dtype)
    if needed is None:
        return ""
    size = f"{needed / _GIB:.1f} GiB" if needed >= _GIB else f"{needed / (1 << 20):.0f} MiB"
    return f" {size} as {str(dtype).removeprefix('torch.')}"


def shapes(file: Path) -> Iterator[list[int]]:
    """Of each tensor of a safetensors file, by its header.

    Raises what ``struct`` and ``json`` raise, or KeyError or TypeError, if it is damaged.
    """
    with file.open("rb") as read:
        (length,) = unpack("<Q", read.read(8))
        header = json.loads(read.read(min(length, file.stat().st_size)))
    return (tensor["shape"] for name, tensor in header.items() if name != "__metadata__")


def _size(dtype: torch.dtype | Packed) -> int:
    assert isinstance(dtype, torch.dtype)
    return dtype.itemsize
