"""Tokenizers that come as one file: tokenizer.json, SentencePiece, tiktoken and tekken."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from anydraft.errors import ModelFileError
from anydraft.loading.dense import MOST_IDS, require_dense
from anydraft.loading.paths import A_TOKENIZER
from anydraft.loading.reading import reading
from anydraft.loading.sentencepiece import load_sentencepiece
from anydraft.loading.tiktoken_known import known_encoding

if TYPE_CHECKING:
    import tiktoken

_FAST: Any = PreTrainedTokenizerFast

_TEKKEN_NAMES = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip
"""The control tokens of tekken files that do not name their own (before version 7)."""
_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d{1,9}")
_MOST_RESERVED = MOST_IDS
"""Ids that a tekken file may set aside for control tokens: each becomes an entry."""


def load_tokenizer_file(file: Path, pattern: str | None, special_tokens: Mapping[str, int] | None) -> Any:
    """The tokenizer in one file, told by its name, or by its lines if it is of tiktoken's format.

    See ``load_tokenizer``.

    Raises:
        ModelFileError: a name of no known kind, a damaged file, or a package that the kind needs is missing.
    """
    with reading(file, "a tokenizer"):
        if file.name.startswith("tekken") and file.suffix == ".json":
            return _tekken(file)
        if file.suffix == ".json":
            require_dense(file)
            return _FAST(tokenizer_object=Tokenizer.from_file(str(file)))
        if file.suffix == ".tiktoken" or is_tiktoken(file):
            return _tiktoken(file, pattern, special_tokens)
        if ".model" in file.suffixes:
            return load_sentencepiece(file)
    raise ModelFileError(f"got {file}; {A_TOKENIZER}")


def tokenizer_file_in(folder: Path) -> Path | None:
    """The file of a folder that holds its tokenizer, where there is no ``tokenizer.json``."""
    for names in ("tekken*.json", "tokenizer.model*", "*.tiktoken"):
        files = sorted(file for file in folder.glob(names) if file.is_file())
        if files:
            return files[-1]
    return None


def is_tiktoken(file: Path) -> bool:
    """Whether the first lines are base64, a space and a rank."""
    with file.open("rb") as opened:
        lines = opened.read(4096).splitlines()[:8]
    whole = lines[:-1] or lines  # the last one may be cut
    return bool(whole) and all(_LINE.fullmatch(line) for line in whole)


def _tekken(file: Path) -> tiktoken.Encoding:
    data = json.loads(file.read_text(encoding="utf-8"))
    config = data["config"]
    reserved, size = config["default_num_special_tokens"], config["default_vocab_size"]
    if not 0 <= reserved <= min(size, _MOST_RESERVED):
        raise ModelFileError(
            f"got {file}, with {reserved} ids for control tokens among {size}; expected at most "
            f"{_MOST_RESERVED}"
        )
    named = {token["token_str"]: token["rank"] for token in data.get("special_tokens") or ()}
    named = named or {name: i for i, name in enumerate(_TEKKEN_NAMES)}
    taken = set(named.values())
    fillers = {f"<SPECIAL_{i}>": i for i in range(reserved) if i not in taken}
    entries = data["vocab"][: size - reserved]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] + reserved for entry in entries}
    return _encoding(file, config["pattern"], ranks, named | fillers)


def _tiktoken(file: Path, pattern: str | None, special_tokens: Mapping[str, int] | None) -> tiktoken.Encoding:
    if pattern is None:
        known = known_encoding(hashlib.sha256(file.read_bytes()).hexdigest())
        if known is None:
            raise ModelFileError(
                f"got {file}, a file in tiktoken's format of no known tokenizer: it holds neither the "
                "regular expression that splits a text nor control tokens. Expected those as pattern= and "
                "special_tokens=, or the tokenizer.json of the same model"
            )
        pattern = known.pattern
        special_tokens = known.special_tokens if special_tokens is None else special_tokens
    ranks = {}
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if line:
            try:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except (ValueError, binascii.Error) as error:
                raise ModelFileError(f"got {file}, damaged in line {number}: {error}") from error
    return _encoding(file, pattern, ranks, dict(special_tokens or {}))


def _encoding(
    file: Path, pattern: str, ranks: dict[bytes, int], specials: dict[str, int]
) -> tiktoken.Encoding:
    try:
        import tiktoken
    except ImportError as error:
        raise ModelFileError(
            f"got {file.name}; reading it needs the package tiktoken: pip install 'anydraft[tiktoken]'"
        ) from error
    return tiktoken.Encoding(file.stem, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)
