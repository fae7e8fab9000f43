"""The shapes of drafts that are trained: ordinary llama models, wide rather than deep: layers cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from anydraft.models.base import MASKS

SizeName = Literal["tiny", "small"]


@dataclass(frozen=True)
class Size:
    """A vocabulary and a model."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    window: int = 1024
    """Longest text that the draft is shown, in its tokens; of a longer one it reads the end."""


SIZES: dict[SizeName, Size] = {
    "tiny": Size(vocabulary=6144, hidden=320, inner=896, layers=3, heads=5),
    "small": Size(vocabulary=16384, hidden=512, inner=1408, layers=6, heads=8),
}


def new_model(
    size: Size, tokenizer: PreTrainedTokenizerFast, seed: int, parallel: int = 1
) -> PreTrainedModel:
    """An untrained model for a tokenizer, float32, on the CPU; input and output embedding are one.

    ``parallel``: of how many next tokens one pass is to give the laws. The masks for that
    (:mod:`anydraft.models.ahead`) are ids behind the tokenizer's, so that no text has them.
    """
    masks = list(range(len(tokenizer), len(tokenizer) + parallel - 1))
    ends: list[int] = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])  # type: ignore[assignment]
    config = LlamaConfig(
        vocab_size=len(tokenizer) + len(masks),
        hidden_size=size.hidden,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=size.window,
        tie_word_embeddings=True,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=ends[0],
        pad_token_id=ends[0],
    )
    if masks:
        setattr(config, MASKS, masks)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=ends, pad_token_id=ends[0]
    )
    return model
