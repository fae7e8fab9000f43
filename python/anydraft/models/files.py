"""Models and tokenizers from files on this machine: transformers folders and GGUF files. Never a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from anydraft.errors import ModelFileError
from anydraft.models import gguf
from anydraft.models.packaged import PackagedName, packaged
from anydraft.models.quiet import Progress, quiet, silent

__all__ = ["PackagedName", "Progress", "load_model", "load_tokenizer", "packaged"]


def load_model(
    path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> PreTrainedModel:
    """A causal language model from a transformers folder or a GGUF file, in evaluation mode.

    A GGUF file is de-quantised on first use (tens of seconds) and kept as a plain folder in the cache folder:
    ``$ANYDRAFT_CACHE``, else ``$XDG_CACHE_HOME/anydraft``, else ``~/.cache/anydraft``.

    Raises:
        ModelFileError: nothing at ``path``, or no model that transformers can read.
    """
    found = _existing(path)
    if found.is_file():
        if found.suffix != ".gguf":
            raise ModelFileError(f"got {found}; expected a transformers folder or a .gguf file")
        found = gguf.weights_folder(found, dtype, progress)
    progress("loading", 0.0)
    with quiet():
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(str(found), dtype=dtype, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFileError(f"got {path}, where transformers finds no causal model: {error}") from error
    model = model.to(device).eval()
    progress("loading", 1.0)
    return model  # type: ignore[no-any-return]


def load_tokenizer(path: str | Path, progress: Progress = silent) -> Any:
    """A tokenizer from a transformers folder or a GGUF file (kept in the cache folder, as a model is).

    Raises:
        ModelFileError: nothing at ``path``, or no tokenizer that can be read.
    """
    found = _existing(path)
    if found.is_file():
        found = gguf.tokenizer_folder(found, progress)
    with quiet():
        try:
            return AutoTokenizer.from_pretrained(str(found), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelFileError(f"got {path}, where transformers finds no tokenizer: {error}") from error


def _existing(path: str | Path) -> Path:
    found = Path(path).expanduser()
    if not found.exists():
        raise ModelFileError(
            f"got {path}, where there is nothing; expected a transformers folder or a .gguf file. "
            "A model of the Hugging Face Hub must be downloaded first: hf download OWNER/NAME --local-dir DIR"
        )
    return found
