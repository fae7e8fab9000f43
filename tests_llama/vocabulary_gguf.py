"""A GGUF file of a vocabulary alone, whose merges go across words, digits and line breaks."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from texts import FRAGMENTS

CONTROL, NORMAL = 3, 1
SPECIALS = ["<|none|>", "<|first|>", "<|last|>"]


@cache
def merged() -> tuple[list[str], list[str]]:
    """Tokens and merges of a byte-level tokenizer that was trained on texts which nothing had cut.

    So wherever a text is cut otherwise, other tokens come out.
    """
    rng = random.Random(3)
    texts = ["".join(rng.choice(FRAGMENTS) for _ in range(rng.randint(2, 9))) for _ in range(3000)]
    texts += ["".join(rng.choices(" \n\r\taAbB'sSdtT.,1234é世\u0301\u00a0/!", k=14)) for _ in range(4000)]
    plain: Any = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    plain.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=4000, initial_alphabet=sorted(alphabet), show_progress=False)
    )
    model = json.loads(plain.to_str())["model"]
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    return sorted(model["vocab"], key=model["vocab"].__getitem__), merges


def write(
    path: Path, pre: str | None, tokens: Sequence[str] | None = None, merges: Sequence[str] | None = None
) -> Path:
    """Write the file; ``pre``: what it says of how a text is cut."""
    if tokens is None or merges is None:
        tokens, merges = merged()
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_block_count, 1),
        (writer.add_context_length, 256),
        (writer.add_embedding_length, 64),
        (writer.add_feed_forward_length, 64),
        (writer.add_head_count, 1),
        (writer.add_layer_norm_rms_eps, 1e-5),
    ):
        add(value)  # type: ignore[operator]
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([*tokens, *SPECIALS])
    writer.add_token_types([NORMAL] * len(tokens) + [CONTROL] * len(SPECIALS))
    writer.add_token_merges(list(merges))
    writer.add_bos_token_id(len(tokens) + 1)
    writer.add_eos_token_id(len(tokens) + 2)
    writer.add_add_bos_token(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
