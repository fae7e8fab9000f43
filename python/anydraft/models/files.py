"""Models and tokenizers from files on this machine: transformers folders and GGUF files. Never a download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers import __version__ as transformers_version

from anydraft.errors import ModelFileError
from anydraft.models import gguf
from anydraft.models.packaged import PackagedName, packaged
from anydraft.models.quiet import Progress, quiet, silent
from anydraft.models.tokenizer_files import load_tokenizer_file

__all__ = ["PackagedName", "Progress", "generation_config", "load_model", "load_tokenizer", "packaged"]


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
    _require_readable_config(found)
    progress("loading", 0.0)
    with quiet():
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(str(found), dtype=dtype, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelFileError(f"got {path}, where transformers finds no causal model: {error}") from error
    model = model.to(device).eval()
    progress("loading", 1.0)
    return model  # type: ignore[no-any-return]


def load_tokenizer(
    path: str | Path,
    progress: Progress = silent,
    *,
    pattern: str | None = None,
    special_tokens: Mapping[str, int] | None = None,
) -> Any:
    """A tokenizer from a transformers folder or a file.

    Of a GGUF file (kept in the cache folder, as a model is), a ``tokenizer.json`` or a SentencePiece
    ``.model`` file the result is a fast tokenizer of transformers; of a ``tekken.json`` or a ``.tiktoken``
    file it is a ``tiktoken.Encoding``. Only a ``.tiktoken`` file needs ``pattern``, the regular expression
    that splits a text, and ``special_tokens``, content to id, because it holds neither.

    Raises:
        ModelFileError: nothing at ``path``, or no tokenizer that can be read.
    """
    found = _existing(path)
    if found.suffix == ".gguf":
        found = gguf.tokenizer_folder(found, progress)
    if found.name == "tokenizer.json" and (found.parent / "tokenizer_config.json").exists():
        found = found.parent  # it names the BOS, the EOS and the chat template
    with quiet():
        if found.is_file():
            return load_tokenizer_file(found, pattern, special_tokens)
        try:
            return AutoTokenizer.from_pretrained(str(found), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelFileError(f"got {path}, where transformers finds no tokenizer: {error}") from error


def generation_config(path: str | Path) -> GenerationConfig | None:
    """The generation config in a model's folder; ``None`` where there is none, or no folder."""
    try:
        return GenerationConfig.from_pretrained(str(path), local_files_only=True)
    except (OSError, ValueError):
        return None


def _existing(path: str | Path) -> Path:
    found = Path(path).expanduser()
    if not found.exists():
        raise ModelFileError(
            f"got {path}, where there is nothing; expected a transformers folder or a .gguf file. "
            "A model of the Hugging Face Hub must be downloaded first: hf download OWNER/NAME --local-dir DIR"
        )
    return found


def _require_readable_config(folder: Path) -> None:
    """Refuse what version 4 of transformers misreads in silence: rotary settings as version 5 writes them."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # transformers says what is wrong
    if transformers_version.startswith("4.") and "rope_parameters" in config:
        raise ModelFileError(
            f"got {folder}, saved by transformers {config.get('transformers_version')}, whose rotary "
            f"settings transformers {transformers_version} cannot read: pip install 'transformers>=5'"
        )
