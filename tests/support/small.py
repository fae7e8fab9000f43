"""Two small tokenizers as users have them, with tiny random models that fit them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedModel, PreTrainedTokenizerFast

import anydraft
import tiny

TEXT = (
    """def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)

The quick brown fox jumps over the lazy dog. The dog sleeps; the fox runs on and on.
Ça va très bien, merci. Été, hiver, naïve façade. 日本語の文章です。 12345 67 890 🙂
"""
    * 4
)


@cache
def byte_level(vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """Byte-level BPE in the manner of GPT-2, without a BOS."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


@cache
def characters() -> PreTrainedTokenizerFast:
    """Every character of ASCII is a token of its own: any ids are what their text is encoded to; no end."""
    letters = [chr(code) for code in range(33, 127)] + ["Ġ", "Ċ"]
    backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@cache
def byte_fallback(vocab_size: int = 520) -> PreTrainedTokenizerFast:
    """SentencePiece style: spaces as ▁, byte fallback, newlines as added tokens, a BOS before every text."""
    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<unk>", "<bos>", "<eos>", *raw], show_progress=False
    )
    backend.train_from_iterator([line + "\n" for line in TEXT[: len(TEXT) // 4].splitlines()[:-2]], trainer)
    parts = json.loads(backend.to_str())
    parts["added_tokens"] = [t for t in parts["added_tokens"] if not t["content"].startswith("<0x")]
    backend = Tokenizer.from_str(json.dumps(parts))
    backend.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("\n", normalized=False)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )
    made.backend_tokenizer.post_processor = _bos(made)
    return made


def _bos(tokenizer: Any) -> Any:
    return processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )


def model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int = 0, padding: int = 7, **changes: object
) -> PreTrainedModel:
    """A tiny model for a tokenizer, its logits a little wider than the vocabulary."""
    made = tiny.llama(len(tokenizer) + padding, seed=seed, **changes)
    made.generation_config.eos_token_id = tokenizer.eos_token_id
    made.generation_config.pad_token_id = tokenizer.eos_token_id
    return made


def pair(*, swap: bool = False, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    """A byte-fallback target and a byte-level draft, or the reverse, and their tokenizers."""
    target, draft = byte_fallback(), byte_level()
    if swap:
        target, draft = draft, target
    return model(target, seed=seed), model(draft, seed=seed + 1), target, draft


def speculator(*, swap: bool = False, seed: int = 0, **options: Any) -> anydraft.Speculator:
    """Such a pair, joined; a test that looks at the models makes a :func:`pair` and joins it itself."""
    return join(pair(swap=swap, seed=seed), **options)


def join(parts: tuple[Any, Any, Any, Any], **options: Any) -> anydraft.Speculator:
    """Models and tokenizers joined, with blocks of five tokens unless told otherwise."""
    options.setdefault("num_draft_tokens", 5)
    return anydraft.Speculator(*parts, **options)
