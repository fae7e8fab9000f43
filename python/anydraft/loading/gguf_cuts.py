"""The tokenizer of a GGUF file cuts texts as the file says, which transformers does for some names only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, pre_tokenizers

from anydraft.errors import ModelFileError
from anydraft.loading.gguf_header import read_header
from anydraft.loading.gguf_patterns import CUTS


def cut_as_named(backend: Tokenizer, file: Path) -> None:
    """Have the tokenizer that was read from a GGUF file cut texts as the file says, and as llama.cpp does.

    Raises:
        ModelFileError: the file names a way of cutting that is not known here.
    """
    header = read_header(file)
    if header.get("tokenizer.ggml.model") != "gpt2":  # others are not cut
        return
    name = header.get("tokenizer.ggml.pre", "default")
    if name not in CUTS:
        raise ModelFileError(
            f"got {file.name}, whose tokenizer cuts texts in a way named {name!r}; expected one of "
            f"{', '.join(CUTS)}. Give the tokenizer of the model's own folder beside the file"
        )
    cut, parts, model = CUTS[name], pre_tokenizers, backend.model
    split: list[Any] = [parts.Split(Regex(pattern), "isolated") for pattern in cut.patterns]
    backend.pre_tokenizer = parts.Sequence([*split, parts.ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.normalizer = None  # llama.cpp has none: ids give back the text, byte for byte
    model.ignore_merges = cut.whole
