"""Which files llama.cpp runs, and how they are opened for a command."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anydraft.cli.options import DtypeName, EngineName
from anydraft.errors import ArgumentError, MissingPackageError, ModelFileError
from anydraft.loading.gguf_header import read_header

_ROOM = 4096
"""Tokens of context, if the model has as many: keys and values for all of them are set aside."""


def in_llama_cpp(paths: Sequence[Path], engine: EngineName, dtype: DtypeName | None) -> list[Path]:
    """Those of the models that llama.cpp runs.

    Raises:
        MissingPackageError: it was asked for, and is not installed.
        ArgumentError: it was asked for, and no model is a GGUF file, or a number format was named too.
    """
    files = [path for path in paths if path.suffix == ".gguf"]
    installed = importlib.util.find_spec("llama_cpp") is not None
    if engine == "auto":
        return files if installed and dtype is None else []
    if engine == "torch":
        return []
    if not installed:
        raise MissingPackageError(
            "got --engine llama-cpp without the package llama-cpp-python; install it: "
            "pip install 'anydraft[llama-cpp]'"
        )
    if not files:
        raise ArgumentError(
            "got --engine llama-cpp and no GGUF file; expected one: llama.cpp runs nothing else"
        )
    if dtype is not None:
        raise ArgumentError(
            f"got --engine llama-cpp and --dtype {dtype}; expected one of them: llama.cpp runs a file at its "
            "own precision"
        )
    return files


def open_llama(path: Path, device: str, threads: int) -> Any:
    """A file, with flash attention: one token and several then mostly get the same logits.

    ``device``: ``"cpu"``; with anything else all layers go to the accelerator that llama.cpp was built for.

    Raises:
        ModelFileError: llama.cpp cannot open it.
    """
    from llama_cpp import Llama

    header = read_header(path)
    longest = header.get(f"{header.get('general.architecture')}.context_length", _ROOM)
    try:
        return Llama(
            str(path),
            n_ctx=min(_ROOM, longest),
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=0 if device == "cpu" else -1,
            flash_attn=True,
            verbose=False,
        )
    except ValueError as error:
        raise ModelFileError(f"got {path}, which llama.cpp cannot open: {error}") from error
