"""Models and tokenizers from files on this machine: transformers folders and GGUF files. Never a download."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers import __version__ as transformers_version

from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading import gguf
from anydraft.loading.dense import require_dense
from anydraft.loading.needs import Packed, require_room
from anydraft.loading.packaged import PackagedName, packaged
from anydraft.loading.paths import A_TOKENIZER, existing, model_at
from anydraft.loading.quiet import Progress, quiet, silent
from anydraft.loading.reading import reading, require_whole
from anydraft.loading.tokenizers import is_tiktoken, load_tokenizer_file, tokenizer_file_in

__all__ = ["PackagedName", "Progress", "generation_config", "load_model", "load_tokenizer", "packaged"]


def load_model(
    path: str | Path,
    dtype: torch.dtype | Packed = torch.float32,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> PreTrainedModel:
    """A causal language model from a transformers folder or a GGUF file, in evaluation mode.

    A GGUF file is de-quantised on first use (tens of seconds) and kept as a plain folder in the cache folder:
    ``$ANYDRAFT_CACHE``, else ``$XDG_CACHE_HOME/anydraft``, else ``~/.cache/anydraft``. With ``"packed"`` its
    matrices stay as the file has them, on a CPU: it takes the memory that the file takes, and each pass
    unpacks them anew, which takes several times as long. What any of these takes is told by
    :func:`~anydraft.loading.needs.needed_bytes`.

    No code from the folder is run.

    Raises:
        ModelFileError: nothing at ``path``, no model that transformers can read, one that is damaged or lacks
            weights, one that only code in its folder can read, or one that is larger than the memory left.
        ArgumentError: ``"packed"`` for what is no GGUF file, or for another device than a CPU.
    """
    found = model_at(path)
    if dtype == "packed":
        if not found.is_file() or torch.device(device).type != "cpu":
            raise ArgumentError(
                f"got dtype='packed' for {found} on {device}; expected a GGUF file and a CPU. "
                "Give a torch.dtype"
            )
        require_room(found, dtype)
        return gguf.packed_model(found, progress)
    if torch.device(device).type == "cpu":
        require_room(found, dtype)
    if found.is_file():
        found = gguf.weights_folder(found, dtype, progress)
    _require_readable_config(found)
    progress("loading", 0.0)
    made: Any = AutoModelForCausalLM
    with quiet(), reading(found, "a causal model"):
        loaded: tuple[PreTrainedModel, dict[str, Any]] = made.from_pretrained(
            str(found), dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    model, told = loaded
    require_whole(found, told["missing_keys"])
    model.to(device).eval()  # type: ignore[arg-type]
    progress("loading", 1.0)
    return model


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
    file it is a ``tiktoken.Encoding``. A file in tiktoken's format, whatever its name (Llama 3's is
    ``tokenizer.model``), needs ``pattern``, the regular expression that splits a text, and
    ``special_tokens``, content to id, because it holds neither; well-known ones are told by their content.
    No code from the folder is run.

    Raises:
        ModelFileError: nothing at ``path``, or no tokenizer that can be read.
    """
    found = existing(path, A_TOKENIZER)
    if found.suffix == ".gguf":
        found = gguf.tokenizer_folder(found, progress)
    if found.name == "tokenizer.json" and (found.parent / "tokenizer_config.json").exists():
        found = found.parent  # it names the BOS, the EOS and the chat template
    if found.is_dir() and not (found / "tokenizer.json").exists():
        file = tokenizer_file_in(found)
        if file is not None and is_tiktoken(file):
            found = file  # transformers would read it with a pattern of another model
    if (found / "tokenizer.json").is_file():
        require_dense(found / "tokenizer.json")
    with quiet():
        if found.is_file():
            return load_tokenizer_file(found, pattern, special_tokens)
        with reading(found, "a tokenizer"):
            return AutoTokenizer.from_pretrained(str(found), local_files_only=True, trust_remote_code=False)


def generation_config(path: str | Path) -> GenerationConfig | None:
    """The generation config in a model's folder; ``None`` where there is none, or no folder."""
    try:
        return GenerationConfig.from_pretrained(str(path), local_files_only=True)
    except (OSError, ValueError):
        return None


def _require_readable_config(folder: Path) -> None:
    """Refuse what version 4 of transformers misreads in silence: rotary settings as version 5 writes them."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # transformers says what is wrong
    if transformers_version.startswith("4.") and isinstance(config, dict) and "rope_parameters" in config:
        raise ModelFileError(
            f"got {folder}, saved by transformers {config.get('transformers_version')}, whose rotary "
            f"settings transformers {transformers_version} cannot read: pip install 'transformers>=5'"
        )
