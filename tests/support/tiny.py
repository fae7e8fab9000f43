"""Tiny random models: 2 layers, 64 wide, made from a config. No downloads, milliseconds to run."""

from __future__ import annotations

import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    Llama4ForCausalLM,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SLIDING_WINDOW = 16


_SHAPE = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
}


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


def mistral(*, seed: int = 0) -> PreTrainedModel:
    """A mistral-like model: every layer has a sliding window (16 tokens)."""
    return _made(MistralForCausalLM, MistralConfig(**_SHAPE, sliding_window=SLIDING_WINDOW), seed)


def qwen2(*, seed: int = 0) -> PreTrainedModel:
    """A qwen2-like model: biases in attention, a sliding window in its second layer."""
    sliding = {"use_sliding_window": True, "sliding_window": SLIDING_WINDOW, "max_window_layers": 1}
    model = _made(Qwen2ForCausalLM, Qwen2Config(**_SHAPE, **sliding), seed)
    for layer in model.model.layers:
        for name in "qkv":
            torch.nn.init.normal_(getattr(layer.self_attn, f"{name}_proj").bias)
    return model


def qwen3(*, seed: int = 0) -> PreTrainedModel:
    """A qwen3-like model: queries and keys have a norm."""
    model = _made(Qwen3ForCausalLM, Qwen3Config(**_SHAPE, head_dim=16), seed)
    for layer in model.model.layers:
        torch.nn.init.normal_(layer.self_attn.q_norm.weight)
        torch.nn.init.normal_(layer.self_attn.k_norm.weight)
    return model


def olmo2(*, seed: int = 0) -> PreTrainedModel:
    """A model of an architecture that has no lean form."""
    return _made(Olmo2ForCausalLM, Olmo2Config(**_SHAPE), seed)


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


def llama4(*, seed: int = 0) -> PreTrainedModel:
    """A llama4-like model: one layer that attends within chunks of 16 tokens, one full layer, experts."""
    config = Llama4TextConfig(
        **_SHAPE,
        head_dim=16,
        intermediate_size_mlp=96,
        num_local_experts=4,
        attention_chunk_size=SLIDING_WINDOW,
        no_rope_layers=[1, 0],
        layer_types=["chunked_attention", "full_attention"],
        attn_temperature_tuning=False,
        pad_token_id=0,
    )
    return _made(Llama4ForCausalLM, config, seed)


def ids(n: int, vocab_size: int = 97, *, seed: int = 0) -> torch.Tensor:
    """``n`` random ids below ``vocab_size``: int64 ``[n]``."""
    return torch.randint(vocab_size, (n,), generator=torch.Generator().manual_seed(seed))


def _made(kind: type[PreTrainedModel], config: object, seed: int) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config)
    return model.eval()
