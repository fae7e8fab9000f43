"""GGUF files as plain transformers folders: de-quantised once, kept in the user's cache folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers import __version__ as transformers_version

from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir
from anydraft.loading.gguf_cuts import cut_as_named
from anydraft.loading.gguf_patterns import RECIPE
from anydraft.loading.packed import load_packed
from anydraft.loading.progress import Progress
from anydraft.loading.quiet import quiet, tensors_counted
from anydraft.loading.reading import reading, require_whole

_RECIPE = 1
"""A part of the entries' names: raise it when the weights that are written change."""

_MODEL: Any = AutoModelForCausalLM
_TOKENIZER: Any = PreTrainedTokenizerFast
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


def weights_folder(file: Path, dtype: torch.dtype, progress: Progress) -> Path:
    """A transformers folder with the config and the de-quantised weights of a GGUF file.

    Weights are stored in ``dtype``; an entry in float32 serves every dtype.

    Raises:
        ModelFileError: ``gguf`` is not installed, transformers cannot read the file, or the cache cannot
            be written.
    """
    key = _key(file)
    exact = f"gguf/{key}-float32"
    if (cache_dir.root() / exact).is_dir():
        return cache_dir.root() / exact
    name = f"gguf/{key}-{str(dtype).removeprefix('torch.')}"

    def make(folder: Path) -> None:
        _need_gguf(file)
        progress("reading", 0.0)
        with quiet(), tensors_counted("de-quantising", progress):
            with reading(file, "the model of a GGUF file"):
                loaded: Any = _MODEL.from_pretrained(
                    str(file.parent),
                    gguf_file=file.name,
                    dtype=dtype,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
            read, told = loaded
            require_whole(file, told["missing_keys"])
            progress("writing", 0.0)
            _unquantised(read, dtype).save_pretrained(folder)
            progress("writing", 1.0)

    return cache_dir.entry(name, make)


def packed_model(file: Path, progress: Progress) -> PreTrainedModel:
    """The model of a GGUF file at the file's own size; see :mod:`anydraft.loading.packed`.

    Raises:
        ModelFileError: as for :func:`weights_folder`, or an architecture that cannot stay packed.
    """

    def make(folder: Path) -> None:
        progress("reading", 0.0)
        read: Any = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name, trust_remote_code=False)
        read.save_pretrained(folder)
        GenerationConfig.from_model_config(read).save_pretrained(folder)

    _need_gguf(file)
    with quiet(), reading(file, "the model of a GGUF file"):
        folder = cache_dir.entry(f"gguf/{_key(file)}-config", make)
        return load_packed(file, folder, progress)


def tokenizer_folder(file: Path, progress: Progress) -> Path:
    """A transformers folder with the tokenizer of a GGUF file; the weights are not read.

    Raises:
        ModelFileError: as for :func:`weights_folder`.
    """

    def make(folder: Path) -> None:
        _need_gguf(file)
        if transformers_version.startswith("4."):
            raise ModelFileError(
                f"got {file.name}, whose tokenizer transformers {transformers_version} reads wrongly (it "
                "loses merges and control tokens); expected version 5: pip install 'transformers>=5'"
            )
        progress("reading tokenizer", 0.0)
        with quiet():
            with reading(file, "the tokenizer of a GGUF file"):
                read: Any = AutoTokenizer.from_pretrained(
                    str(file.parent), gguf_file=file.name, trust_remote_code=False
                )
                plain = _plain_tokenizer(read)
                cut_as_named(plain.backend_tokenizer, file)
            plain.save_pretrained(folder)
        progress("reading tokenizer", 1.0)

    return cache_dir.entry(f"gguf/{_key(file)}-tokenizer{RECIPE}", make)


def _key(file: Path) -> str:
    major = transformers_version.partition(".")[0]  # version 4 cannot read the folders of version 5
    return f"{file.stem}-{cache_dir.fingerprint(file)}-r{_RECIPE}-t{major}"


def _unquantised(read: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The same weights in a model that is not flagged as quantised, which transformers refuses to save."""
    plain = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
    with torch.device("meta"):
        model: PreTrainedModel = _MODEL.from_config(type(read.config).from_dict(plain), dtype=dtype)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = read.generation_config
    return model


def _plain_tokenizer(read: Any) -> Any:
    """The tokenizer without a class of its own, so that loading it cannot rebuild it in another way."""
    named = {name: getattr(read, name) for name in _NAMED_TOKENS if getattr(read, name, None) is not None}
    backend = read.backend_tokenizer
    plain: Any = _TOKENIZER(tokenizer_object=backend, clean_up_tokenization_spaces=False, **named)
    plain.chat_template = read.chat_template
    return plain


def _need_gguf(file: Path) -> None:
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelFileError(
            f"got {file.name}, a GGUF file; reading it needs the package {' and '.join(missing)}: "
            "pip install 'anydraft[gguf]'"
        )
