"""Tiny tokenizers of bytes, of each library."""

from __future__ import annotations

import tiktoken
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TEXT = "The naïve café, “two”  spaces:\n\n\tfor i in range(10): print(i)  # 日本語 😀 1234\n"


def byte_level(
    *words: str, controls: tuple[str, ...] = ("<end>",), without: str = ""
) -> tokenizers.Tokenizer:
    """Byte-level, one token a byte but for words of two; the bytes of ``without`` have no token."""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(without))
    vocab = {token: i for i, token in enumerate([*alphabet, *words])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, [(word[0], word[1:]) for word in words]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in controls])
    return tokenizer


def as_transformers() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=byte_level("he", "ll"), eos_token="<end>")


def as_tiktoken() -> tiktoken.Encoding:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"ll": 257}
    return tiktoken.Encoding(
        "small", pat_str=r"\s+|\S+", mergeable_ranks=ranks, special_tokens={"<end>": 258}
    )
