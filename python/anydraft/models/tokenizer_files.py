"""Tokenizers that come as one file: tokenizer.json, SentencePiece, tiktoken and tekken."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from anydraft.errors import ModelFileError
from anydraft.models.sentencepiece import load_sentencepiece

_FAST: Any = PreTrainedTokenizerFast

_TEKKEN_NAMES = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip
"""The control tokens of tekken files that do not name their own (before version 7)."""


def load_tokenizer_file(file: Path, pattern: str | None, special_tokens: Mapping[str, int] | None) -> Any:
    """The tokenizer in one file, told by its name; see ``load_tokenizer``.

    Raises:
        ModelFileError: a name of no known kind, a damaged file, or a package that the kind needs is missing.
    """
    try:
        if file.name.startswith("tekken") and file.suffix == ".json":
            return _tekken(file)
        if file.suffix == ".json":
            return _json(file)
        if file.suffix == ".tiktoken":
            return _tiktoken(file, pattern, special_tokens or {})
        if ".model" in file.suffixes:
            return load_sentencepiece(file)
    except (KeyError, TypeError, ValueError, UnicodeError) as error:
        raise ModelFileError(f"got {file}, which is no readable tokenizer: {error!r}") from error
    raise ModelFileError(
        f"got {file}; expected a folder, a .gguf file, a tokenizer.json, a tekken.json, a .tiktoken file or "
        "a SentencePiece .model file"
    )


def _json(file: Path) -> Any:
    try:
        backend = Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises nothing more precise
        raise ModelFileError(f"got {file}, which is no readable tokenizer.json: {error}") from error
    return _FAST(tokenizer_object=backend)


def _tekken(file: Path) -> Any:
    data = json.loads(file.read_text(encoding="utf-8"))
    config = data["config"]
    reserved = config["default_num_special_tokens"]
    named = {token["token_str"]: token["rank"] for token in data.get("special_tokens") or ()}
    named = named or {name: i for i, name in enumerate(_TEKKEN_NAMES)}
    taken = set(named.values())
    fillers = {f"<SPECIAL_{i}>": i for i in range(reserved) if i not in taken}
    entries = data["vocab"][: config["default_vocab_size"] - reserved]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] + reserved for entry in entries}
    return _encoding(file, config["pattern"], ranks, named | fillers)


def _tiktoken(file: Path, pattern: str | None, special_tokens: Mapping[str, int]) -> Any:
    if pattern is None:
        raise ModelFileError(
            f"got {file}, which holds tokens but not the regular expression that splits text before them; "
            "expected pattern= (and special_tokens=), or the tokenizer.json of the same tokenizer"
        )
    ranks = {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if line:
            try:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except (ValueError, binascii.Error) as error:
                raise ModelFileError(f"got {file}, damaged in line {number}: {error}") from error
    return _encoding(file, pattern, ranks, dict(special_tokens))


def _encoding(file: Path, pattern: str, ranks: dict[bytes, int], specials: dict[str, int]) -> Any:
    try:
        import tiktoken
    except ImportError as error:
        raise ModelFileError(
            f"got {file.name}; reading it needs the package tiktoken: pip install 'anydraft[tiktoken]'"
        ) from error
    return tiktoken.Encoding(file.stem, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)
