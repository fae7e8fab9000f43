"""Files in tiktoken's format, and Mistral's tekken, as encodings with all that such a file leaves out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from anydraft.errors import ModelFileError
from anydraft.loading.dense import MOST_IDS
from anydraft.loading.light import RankedTokenizer
from anydraft.loading.tiktoken_known import KnownEncoding, known_encoding
from anydraft.loading.tokenizer_config import TokenizerConfig

if TYPE_CHECKING:
    import tiktoken

_TEKKEN_NAMES = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip
"""The control tokens of tekken files that do not name their own (before version 7)."""
_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d{1,9}")
_MOST_RESERVED = MOST_IDS
"""Ids that a tekken file may set aside for control tokens: each becomes an entry."""


def is_tiktoken(file: Path) -> bool:
    """Whether the first lines are base64, a space and a rank."""
    with file.open("rb") as opened:
        lines = opened.read(4096).splitlines()[:8]
    whole = lines[:-1] or lines  # the last one may be cut
    return bool(whole) and all(_LINE.fullmatch(line) for line in whole)


def load_tekken(file: Path, config: TokenizerConfig) -> RankedTokenizer:
    """A ``tekken.json``, with the ``<s>`` before every text that Mistral's own library puts there.

    Raises:
        ModelFileError: a damaged file, or tiktoken is not installed.
    """
    data = json.loads(file.read_text(encoding="utf-8"))
    told = data["config"]
    reserved, size = told["default_num_special_tokens"], told["default_vocab_size"]
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
    encoding = _encoding(file, told["pattern"], ranks, named | fillers)
    return RankedTokenizer(encoding, config, ["<s>"] if "<s>" in named else [])


def load_tiktoken(
    file: Path,
    config: TokenizerConfig,
    pattern: str | None,
    special_tokens: Mapping[str, int] | None,
) -> RankedTokenizer:
    """A file of tiktoken's format, known by its content or by the ``config`` beside it; else as given.

    Raises:
        ModelFileError: no known one and nothing given, a damaged file, or tiktoken is not installed.
    """
    content = file.read_bytes()
    ranks = _ranks(file, content)
    if pattern is not None:
        named = _named(config) if special_tokens is None else dict(special_tokens)
        return RankedTokenizer(_encoding(file, pattern, ranks, named), config)
    known = known_encoding(hashlib.sha256(content).hexdigest(), config.model_type, len(ranks))
    if known is None:
        _refuse(file, "a file in tiktoken's format of no known tokenizer")
    if config.own_code and config.tokenizer_class not in known.classes:
        _refuse(file, f"a file in tiktoken's format that code beside it reads ({config.tokenizer_class})")
    specials = dict(_specials(known, config, ranks) if special_tokens is None else special_tokens)
    if not specials and known.reserved:
        _refuse(file, "whose control tokens are named in a tokenizer_config.json that is not beside it")
    opening = [content for content in known.opening if content in specials]
    return RankedTokenizer(_encoding(file, known.pattern, ranks, specials), config, opening)


def _specials(known: KnownEncoding, config: TokenizerConfig, ranks: Mapping[bytes, int]) -> dict[str, int]:
    """Those of the family; where the folder names an id otherwise, as it does."""
    told = _named(config)
    found = {i: content for content, i in known.special_tokens.items()} | {i: c for c, i in told.items()}
    if known.reserved and told:
        first = len(ranks)
        fillers = {i: f"<|reserved_token_{i}|>" for i in range(first, first + known.reserved)}
        found = fillers | found
    return {content: i for i, content in found.items()}


def _named(config: TokenizerConfig) -> dict[str, int]:
    return {token.content: i for i, token in config.added.items()}


def _refuse(file: Path, what: str) -> NoReturn:
    raise ModelFileError(
        f"got {file}, {what}: it holds neither the regular expression that splits a text nor control tokens. "
        "Expected those as pattern= (--pattern) and special_tokens=, or the tokenizer.json of the same model"
    )


def _ranks(file: Path, content: bytes) -> dict[bytes, int]:
    ranks = {}
    for number, line in enumerate(content.splitlines(), 1):
        if line:
            try:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except (ValueError, binascii.Error) as error:
                raise ModelFileError(f"got {file}, damaged in line {number}: {error}") from error
    return ranks


def _encoding(
    file: Path, pattern: str, ranks: dict[bytes, int], specials: dict[str, int]
) -> tiktoken.Encoding:
    try:
        import tiktoken
    except ImportError as error:
        raise ModelFileError(
            f"got {file.name}; reading it needs the package tiktoken: pip install 'anydraft[tokenizers]'"
        ) from error
    return tiktoken.Encoding(file.stem, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)
