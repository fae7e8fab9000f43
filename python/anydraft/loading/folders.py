"""Models and tokenizers by name: transformers folders, GGUF files, repositories of the Hub, packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
)
from transformers import __version__ as transformers_version

from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading import gguf
from anydraft.loading.auto_tokenizer import as_transformers, auto_tokenizer
from anydraft.loading.devices import usable_device
from anydraft.loading.light import LightTokenizer
from anydraft.loading.names import look_for, model_named, tokenizer_named
from anydraft.loading.needs import require_room, told_size
from anydraft.loading.number_format import Format, require_format, resolved
from anydraft.loading.packaged import PackagedName, packaged
from anydraft.loading.progress import Progress, silent
from anydraft.loading.proportion import require_proportion
from anydraft.loading.quantised import FILE as QUANTISED
from anydraft.loading.quantised import load_quantised
from anydraft.loading.quiet import quiet
from anydraft.loading.reading import read_object, reading, require_whole
from anydraft.loading.tokenizers import (
    FAST,
    folder_of,
    load_tokenizer_file,
    of_sentencepiece,
    tokenizer_file,
)

__all__ = ["PackagedName", "Progress", "generation_config", "load_model", "load_tokenizer", "packaged"]


def load_model(
    path: str | Path,
    dtype: Format = "auto",
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> PreTrainedModel:
    """A causal language model by name, in evaluation mode.

    ``path``: a transformers folder, a GGUF file, ``"org/name"`` or ``"org/name@revision"`` of the Hugging
    Face Hub (through its own cache; downloaded if it is not there, unless ``HF_HUB_OFFLINE`` is set),
    ``"org/name/file.gguf"``, or ``"tiny"``, ``"smollm2"`` and ``"gemma3"``. A path that exists goes first.

    ``dtype``: ``"auto"`` is the checkpoint's own number format on an accelerator, on a CPU that or float32,
    which is tried (:mod:`anydraft.loading.number_format`).

    A GGUF file is de-quantised on first use (tens of seconds) and kept as a plain folder in the cache folder:
    ``$ANYDRAFT_CACHE``, else ``$XDG_CACHE_HOME/anydraft``, else ``~/.cache/anydraft``. With ``"packed"`` its
    matrices stay as the file has them, on a CPU: it takes the memory that the file takes, and each pass
    unpacks them anew, which takes several times as long. What any of these takes is told by
    :func:`~anydraft.loading.needs.needed_bytes`.

    No code from the folder is run.

    Raises:
        ModelFileError: nothing at ``path``, no model that transformers can read, one that is damaged or lacks
            weights, one that only code in its folder can read, or one that is larger than the memory left.
        ArgumentError: another ``dtype``, or one that is not of floating point with 16 bits or more; a device
            that torch cannot use here; ``"packed"`` for what is no GGUF file, or for another device than a
            CPU.
    """
    require_format(dtype)
    device = usable_device(device)
    found = model_named(path, progress)
    if dtype == "packed":
        if not found.is_file() or device.type != "cpu":
            raise ArgumentError(
                f"got dtype='packed' for {found} on {device}; expected a GGUF file and a CPU. "
                "Give a torch.dtype"
            )
        require_room(found, dtype)
        return gguf.packed_model(found, progress)
    dtype = resolved(found, dtype, device)
    if device.type == "cpu":
        require_room(found, dtype)
    loading = f"loading{told_size(found, dtype)}"
    if found.is_file():
        found = gguf.weights_folder(found, dtype, progress)
    _require_readable_configs(found)
    require_proportion(found)
    if (found / QUANTISED).exists():
        quantised: Any = load_quantised(found)
        return cast("PreTrainedModel", quantised.to(device, dtype))
    progress(loading, 0.0)
    made: Any = AutoModelForCausalLM
    with quiet(), reading(found, "a causal model"):
        loaded: tuple[PreTrainedModel, dict[str, Any]] = made.from_pretrained(
            str(found), dtype=dtype, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    model, told = loaded
    require_whole(found, told["missing_keys"])
    model.to(device).eval()  # type: ignore[arg-type]
    progress(loading, 1.0)
    return model


def load_tokenizer(
    path: str | Path,
    progress: Progress = silent,
    *,
    pattern: str | None = None,
    special_tokens: Mapping[str, int] | None = None,
) -> Any:
    """A tokenizer by name: those of :func:`load_model`, or a tokenizer's own file.

    A folder's is read by transformers, if it has a ``tokenizer.json`` or what its classes need. Of a GGUF
    file (kept in the cache folder, as a model is), a ``tokenizer.json`` or a SentencePiece ``.model`` file,
    alone or in a folder, the result is a fast tokenizer of transformers too; of a ``tekken.json`` or a file
    in tiktoken's format a :class:`~anydraft.loading.light.RankedTokenizer`: a ``tiktoken.Encoding`` with what
    begins a text. A file in tiktoken's format, whatever its name (Llama 3's is ``tokenizer.model``), needs
    ``pattern``, the regular expression that splits a text, and ``special_tokens``, content to id, because it
    holds neither; well-known ones are told by their content, known families by the configs beside them. No
    code from the folder is run.

    Raises:
        ModelFileError: nothing of this name, or no tokenizer that can be read.
    """
    found = tokenizer_named(path, progress)
    if found.suffix == ".gguf":
        found = gguf.tokenizer_folder(found, progress)
    found = folder_of(found)
    file = tokenizer_file(found)
    if file is not None and of_sentencepiece(file) and (found / "tokenizer_config.json").exists():
        with suppress(ModelFileError):  # its class, if transformers knows it, says how pieces begin
            return auto_tokenizer(found)
    if file is not None and not (found.is_dir() and file.name == FAST):
        opened = load_tokenizer_file(file, pattern, special_tokens, found if found.is_dir() else None)
        return as_transformers(opened) if isinstance(opened, LightTokenizer) else opened
    return auto_tokenizer(found)


def generation_config(path: str | Path) -> GenerationConfig | None:
    """The generation config of a model by name; ``None`` where there is none, or no such model."""
    try:
        found = look_for(path, weights=True)
        return GenerationConfig.from_pretrained(str(found), local_files_only=True)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _require_readable_configs(folder: Path) -> None:
    """Refuse what transformers misreads in silence: a damaged ``generation_config.json``, without which a
    text may have no end, and, in version 4, rotary settings as version 5 writes them.
    """
    generation = folder / "generation_config.json"
    if generation.exists() or generation.is_symlink():  # one that leads nowhere is damaged too
        with reading(generation, "a generation config"):
            if not isinstance(json.loads(generation.read_text(encoding="utf-8")), dict):
                raise ValueError("no JSON object")
    config = read_object(folder / "config.json")
    if transformers_version.startswith("4.") and "rope_parameters" in config:
        raise ModelFileError(
            f"got {folder}, saved by transformers {config.get('transformers_version')}, whose rotary "
            f"settings transformers {transformers_version} cannot read: pip install 'transformers>=5'"
        )
