"""What models of transformers need to be shrunk beside smaller sizes; see :mod:`shrunk`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LAYERS = 4
WINDOW = 16
ORIGINAL = 32
"""Original window of a rotary embedding that grows."""

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
_OF_AXES = [
    *("cosmos3_edge", "cosmos3_omni", "glm46v", "glm4v", "glm_ocr", "glmga", "paddleocr_vl"),
    *("qwen2_5_vl", "qwen2_vl", "qwen3_vl", "qwen3_vl_moe"),
]
_HALF = {"rope_parameters": {**_AXES, "mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}}
_START = {"vision_start_token_id": 1, "vision_end_token_id": 2, "audio_start_token_id": 3}
OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "bamba": {**_MAMBA, "attn_layer_indices": [1, 3]},
    "granitemoehybrid": {**_MAMBA, "layer_types": ["linear_attention", "full_attention"] * 2},
    "mamba2": {"num_heads": 8, "head_dim": 16},
    "cohere_compass": _COMPASS,
    "cohere_compass_text": _COMPASS,
    **dict.fromkeys(_OF_AXES, _ROTARY),
    "qwen2_5_omni_thinker": {**_ROTARY, **_START},
    "qwen3_omni_moe_thinker": {**_ROTARY, **_START},
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
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "zamba": {"layers_block_type": ["mamba", "hybrid"] * 2, "attention_hidden_size": 128},
    "zamba2": {
        "layers_block_type": ["mamba", "hybrid"] * 2,
        "hybrid_layer_ids": [1, 3],
        "mamba_headdim": 16,
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
    },
    "xlstm": {"embedding_dim": 64, "hidden_size": 64, "qk_dim_factor": 1.0},
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
