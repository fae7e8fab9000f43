"""Every model of transformers that continues a text, or a text with pictures, shrunk from its defaults.

A few layers, 64 wide, windows and chunks of some tokens, random weights that make sharp logits. What a
configuration calls its sizes is told by name; nothing here knows a model but :data:`OVERRIDES`.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedModel
from transformers.models.auto import modeling_auto

from shrunk_configs import LAYERS, OVERRIDES, VARIANTS

_COUNTS = [
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "decoder_layers",
    "num_decoder_layers",
    "num_blocks",
]
"""What the number of layers may be called."""

_SIZES = """
2:
    altup_num_inputs depth hc_count hc_mult moe_k moe_top_k moe_topk n_group num_codebooks
    num_dense_layers num_expert_group num_experts_per_tok num_experts_per_token num_global_layers
    num_hash_layers num_local_experts_per_tok top_k_experts topk_group
4:
    decoder_layers n_layer n_layers num_blocks num_decoder_layers num_hidden_layers num_layers
    encoder_layers num_encoder_layers attention_heads decoder_attention_heads
    encoder_attention_heads linear_num_heads linear_num_key_heads linear_num_value_heads
    moe_num_experts n_head n_heads n_routed_experts num_attention_heads
    num_decoder_attention_heads num_encoder_attention_heads num_experts num_heads
    num_local_experts num_moe_experts swa_num_attention_heads zero_expert_num
16:
    attention_head_dim attention_head_size d_head d_kv dim_head gated_norm_rank global_head_dim
    head_dim hidden_size_per_layer_input index_head_dim kv_channels kv_lora_rank laurel_rank
    linear_head_dim linear_key_head_dim linear_value_head_dim mamba_chunk_size mamba_d_head mamba_head_dim
    o_lora_rank qk_nope_head_dim qk_rope_dim qk_rope_head_dim rotary_dim swa_head_dim
    swa_v_head_dim v_head_dim attention_chunk_size attention_window_size keep_window_size
    local_attention sliding_window sliding_window_size swa_window_size window_size
32:
    index_n_heads index_topk q_lora_rank qk_head_dim original_max_position_embeddings
64:
    attention_hidden_size d_model dim_model_base emb_dim embed_dim embedding_size
    encoder_hash_byte_group_vocab expert_ffn_hidden_size hidden_size hidden_size_global input_size
    lru_width n_embd word_embed_proj_dim
96:
    d_ff d_inner decoder_ffn_dim dense_intermediate_size dff dim_ff encoder_ffn_dim
    feed_forward_size ffn_dim ffn_hidden_size intermediate_size intermediate_size_mlp mlp_dim
    moe_intermediate_size moe_shared_expert_intermediate_size n_inner
    shared_expert_intermediate_size shared_experts_intermediate_size shared_intermediate_size
512:
    context_length max_position_embeddings max_seq_len max_target_positions model_max_length n_ctx
    n_positions
"""
"""Sizes, and what is given them: at most, where a configuration has more."""

_SIZE_OF = {
    name: int(size)
    for size, names in re.findall(r"^(\d+):\n((?: +.*\n)+)", _SIZES, re.MULTILINE)
    for name in names.split()
}
_GROUPED = {
    "num_key_value_heads",
    "num_kv_heads",
    "kv_n_heads",
    "num_query_groups",
    "swa_num_key_value_heads",
}
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")

_CAUSAL = dict(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
_PICTURED: dict[str, str] = {
    **getattr(modeling_auto, "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", {}),
    **getattr(modeling_auto, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", {}),
}
WRAPPERS = {
    f"{name}, pictures" if name in _CAUSAL else name: name
    for name, kind in _PICTURED.items()
    if _CAUSAL.get(name) != kind
}
"""What reads pictures or sounds beside text, if it is not the class for text alone: its row, and its name."""


def names() -> list[str]:
    """All names, the wrappers for pictures, and the variants that this version of transformers has."""
    variants = (variant for variant, (name, _) in VARIANTS.items() if name in {**_CAUSAL, **WRAPPERS})
    return sorted([*_CAUSAL, *WRAPPERS, *variants])


def _class_of(name: str) -> Any:
    """The class of a row."""
    if name not in WRAPPERS:
        return MODEL_FOR_CAUSAL_LM_MAPPING[type(AutoConfig.for_model(name))]
    return getattr(transformers, _PICTURED[WRAPPERS[name]])


def shrunk(name: str, vocabulary: int, *, seed: int = 0, **more: Any) -> PreTrainedModel:
    """A tiny random model of a name or variant, with logits for ``vocabulary`` tokens; evaluation mode."""
    name, changes = VARIANTS.get(name, (name, {}))
    given = {**OVERRIDES.get(name, {}), **changes, **more}
    attention = given.pop("attn_implementation", None)
    kind = _class_of(name)
    config = _config(WRAPPERS.get(name, name), kind, vocabulary, given)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        extra = {} if attention is None else {"attn_implementation": attention}
        model: PreTrainedModel = kind._from_config(config, **extra)
        _sharpen(model)
    return model.eval()


def perturbed(model: PreTrainedModel, share: float, *, seed: int = 1) -> PreTrainedModel:
    """A copy with every matrix moved a little: it says the same often, and not always."""
    made = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for values in made.parameters():
        if values.dim() >= 2 and values.is_floating_point():
            values.data += share * values.std() * torch.randn(values.shape, generator=generator)
    return made


def _config(name: str, kind: Any, vocabulary: int, given: Mapping[str, Any]) -> Any:
    default = AutoConfig.for_model(name)
    text = default.get_text_config(decoder=True)
    if type(text) is type(default):
        return type(default)(**{**_small(default.to_dict(), vocabulary), **given})
    if kind.config_class is type(text):
        return type(text)(**{**_small(text.to_dict(), vocabulary), **given})
    nested = default.to_dict()
    made = _small(nested, vocabulary)
    inner = {key: value for key, value in given.items() if key.endswith("_config") and key in nested}
    own = {
        key: value
        for key, value in given.items()
        if key not in inner and (key in nested or key.endswith("_token_id"))
    }
    for key, value in nested.items():
        if isinstance(value, dict) and "model_type" in value and getattr(default, key) is text:
            made[key] |= {key: value for key, value in given.items() if key not in {*inner, *own}}
    return type(default)(
        **{key: {**made[key], **value} for key, value in inner.items()},
        **own,
        **{key: value for key, value in made.items() if key not in {*inner, *own}},
    )


def _small(values: Mapping[str, Any], vocabulary: int) -> dict[str, Any]:
    """A configuration with small sizes; lists of layers get as many as there are, of every kind."""
    before = next((values[key] for key in _COUNTS if isinstance(values.get(key), int)), None)
    kept = _kept(values.get("layer_types") or (), before)
    heads = next((values[key] for key in _HEADS if isinstance(values.get(key), int)), None)
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key in ("transformers_version", "architectures", "model_type", "_name_or_path", "dtype"):
            continue
        if key == "per_layer_config":
            made[key] = {
                kept.index(int(i)): {
                    k: _size(k, v) // 2 if k in _HEADS else _size(k, v) for k, v in own.items()
                }
                for i, own in value.items()
                if int(i) in kept
            }
        elif isinstance(value, dict) and value:
            if "model_type" in value:
                made[key] = {"model_type": value["model_type"], **_small(value, vocabulary)}
            else:
                made[key] = {k: _size(k, v) for k, v in value.items()}
        elif isinstance(value, dict):
            continue
        elif isinstance(value, list) and before and len(value) == before and before > 2:
            made[key] = [value[i] for i in kept]
            if key == "num_attention_heads_per_layer":
                made[key] = [4] * LAYERS
        elif key in _GROUPED and isinstance(value, int):
            made[key] = 4 if value == heads else 1 if value == 1 else 2
        elif key.endswith("vocab_size") and isinstance(value, int) and key != "type_vocab_size":
            made[key] = vocabulary
        elif key.endswith(("token_id", "token_index")) and isinstance(value, int):
            made[key] = min(value, vocabulary - 1)
        else:
            made[key] = _size(key, value)
    return made


def _size(key: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return value
    return min(value, _SIZE_OF.get(key, value))


def _kept(kinds: Any, count: int | None) -> list[int]:
    """Which layers stay: the first of every kind, and the first of all."""
    count = min(LAYERS, count or LAYERS)
    first = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    chosen = sorted(first.values())[:count]
    rest = [i for i in range(count) if i not in chosen]
    return sorted(chosen + rest[: count - len(chosen)])


def _sharpen(model: PreTrainedModel) -> None:
    """Matrices that keep the size of what they multiply, norms and biases that are not trivial.

    Embeddings are as small as that too, or what a layer adds to them would hardly matter.
    """
    for values in model.parameters():
        if values.is_floating_point() and values.dim() < 2:
            values.data += 0.1 * torch.randn_like(values)
        elif values.is_floating_point():
            values.data = 1.5 * torch.randn_like(values) / math.sqrt(values.shape[-1])
