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

LAYERS = 4
WINDOW = 16
ORIGINAL = 32
"""Original window of a rotary embedding that grows."""

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
    linear_head_dim linear_key_head_dim linear_value_head_dim mamba_d_head mamba_head_dim
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

_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 16}
_DOTS3 = {"per_layer_config": {}, "head_dim": 32, "num_key_value_heads": 4}
_QWEN4 = {"indexer_n_heads": 32, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 32}
_QWEN4 |= {"indexer_compress_ratio": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
_ROUTED = {"num_experts_per_tok": 2, "n_routed_experts": 4, "n_shared_experts": 1}
_COMPASS = {
    "rope_parameters": {
        kind: {"rope_type": "default", "rope_theta": 10000.0}
        for kind in ("full_attention", "sliding_attention")
    },
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
_AXES = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
_ROTARY = {"rope_parameters": _AXES}
"""Positions of three axes for heads of 16."""
_HALF = {"rope_parameters": {**_AXES, "mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}}
_START = {"vision_start_token_id": 1, "vision_end_token_id": 2, "audio_start_token_id": 3}
OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "bamba": _MAMBA,
    "granitemoehybrid": _MAMBA,
    "mamba2": {"num_heads": 8, "head_dim": 16},
    "cohere_compass": _COMPASS,
    "cohere_compass_text": _COMPASS,
    **dict.fromkeys(["cosmos3_edge", "cosmos3_omni", "glm46v", "glm4v", "glm_ocr", "glmga"], _ROTARY),
    **dict.fromkeys(["paddleocr_vl", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe"], _ROTARY),
    **dict.fromkeys(["qwen2_5_omni_thinker", "qwen3_omni_moe_thinker"], {**_ROTARY, **_START}),
    "glm4v_moe": _HALF,
    "ernie4_5_vl_moe": {
        "rope_parameters": {**_AXES, "mrope_section": [3, 3, 2]},
        "moe_intermediate_size": [96, 96],
    },
    "mistral4": {"head_dim": 32},
    "nemo_speechlm": {"head_config": {"audio_hidden_size": 64}},
    "exaone4_5": {"image_token_id": 95, "video_token_id": 95},
    "chameleon": {"vocabulary_map": {"<image>": 97}},
    "emu3, pictures": {"vocabulary_map": {"<image>": 97}},
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": 16}},
    "granite_docling": {"vision_config": {"out_hidden_size": 64}},
    "inkling2": {"vision_config": {"text_hidden_size": 64}},
    "muse_spark": {"audio_config": {"out_hidden_size": 64}, "out_hidden_size": 64},
    "molmo2": {"adapter_config": {"vision_feature_layer": [3, 1], "text_hidden_size": 64}},
    "mllama, pictures": {"vision_config": {"intermediate_layers_indices": [1], "vision_output_dim": 128}},
    "step3p7": {"sliding_window": WINDOW},
    "hunyuan_vl": {
        "head_dim": 16,
        "rope_parameters": {**_AXES, "mrope_section": [2, 2, 2, 2]},
        "vision_config": {"out_hidden_size": 64, "text_hidden_size": 64},
    },
    "deepseek_ocr2": {"mlp_layer_types": ["dense", "sparse"] * 2},
    "granite4_vision": {
        "deepstack_layer_map": [[-1, 1]],
        "spatial_target_layers": [0, 1, 2, 3],
        "downsample_rate": "4/8",
    },
    "deepseek_v2": {**_ROUTED, "topk_group": 1, "n_group": 1},
    "dots1": _ROUTED,
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "nemotron": {"head_dim": 16, "num_key_value_heads": 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "dots3_note": _DOTS3,
    "dots3_note_text": _DOTS3,
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "gemma3n_text": {
        "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
    },
    "phi4_multimodal": {"original_max_position_embeddings": 512},  # beyond it, it forgets its text
    "hrm_text": {"num_layers_per_stack": 1, "num_hidden_layers": 8},
    "gemma4_unified_assistant": {"num_kv_shared_layers": LAYERS},
    "xmod": {"default_language": "en_XX"},
    "qwen4_exp": _QWEN4,
    "qwen4_exp_text": _QWEN4,
    "reformer": {"is_decoder": True, "axial_pos_shape": [16, 32], "axial_pos_embds_dim": [32, 32]},
    "ministral": {"head_dim": 16, "sliding_window": WINDOW},
}
"""What a name needs beside :data:`_SIZES`, and what its default configuration leaves out."""

_LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": ORIGINAL}
_LONG |= {"factor": 16.0, "short_factor": [1.0] * 8, "long_factor": [1.0 + 3 * i for i in range(8)]}
_DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "phi3, longrope": ("phi3", {"rope_parameters": _LONG, "original_max_position_embeddings": ORIGINAL}),
    "phimoe, longrope": (
        "phimoe",
        {
            "rope_parameters": _LONG | {"short_mscale": 1.0, "long_mscale": 1.2},
            "original_max_position_embeddings": ORIGINAL,
        },
    ),
    "llama, longrope": ("llama", {"rope_parameters": _LONG}),
    "llama, dynamic": ("llama", {"rope_parameters": _DYNAMIC, "max_position_embeddings": ORIGINAL}),
    "falcon, alibi": ("falcon", {"alibi": True}),
    "bert, decoder": ("bert", {"is_decoder": True}),
    "roberta, decoder": ("roberta", {"is_decoder": True}),
    "qwen2, sliding": (
        "qwen2",
        {
            "use_sliding_window": True,
            "sliding_window": WINDOW,
            "layer_types": ["full_attention", "sliding_attention"] * 2,
        },
    ),
    "phi3, sliding": ("phi3", {"sliding_window": WINDOW}),
    "lfm2, conv": ("lfm2", {"layer_types": ["conv", "full_attention"] * 2}),
    "gpt2, eager": ("gpt2", {"attn_implementation": "eager"}),
    "gemma2, eager": ("gemma2", {"attn_implementation": "eager"}),
    "llama4_text, eager": ("llama4_text", {"attn_implementation": "eager"}),
}
"""Rows of the table beside the names: a name, and what its configuration says."""


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
