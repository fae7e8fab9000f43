"""Tiny random models: 2 layers, 64 wide, made from a config. No downloads, milliseconds to run."""

from __future__ import annotations

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

SLIDING_WINDOW = 16


def llama(vocab_size: int = 97, *, seed: int = 0, **changes: object) -> PreTrainedModel:
    """A llama-like model with grouped-query attention; float32, in evaluation mode."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        **changes,
    )
    return _made(LlamaForCausalLM, config, seed)


def gemma3(vocab_size: int = 97, *, seed: int = 0, **changes: object) -> PreTrainedModel:
    """A gemma3-like model: one sliding-window layer (16 tokens), one full layer."""
    config = Gemma3TextConfig(
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=SLIDING_WINDOW,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=512,
        initializer_range=0.3,
        query_pre_attn_scalar=16,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
        **changes,
    )
    return _made(Gemma3ForCausalLM, config, seed)


def ids(n: int, vocab_size: int = 97, *, seed: int = 0) -> torch.Tensor:
    """``n`` random ids below ``vocab_size``: int64 ``[n]``."""
    return torch.randint(vocab_size, (n,), generator=torch.Generator().manual_seed(seed))


def _made(kind: type[PreTrainedModel], config: object, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config)
    return model.eval()
