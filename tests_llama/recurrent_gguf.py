"""Tiny models with a recurrent state as GGUF files, written from random weights."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from tiny_gguf import CONTROL, NORMAL, SPECIALS

WIDTH, LAYERS = 64, 4


def mamba(path: Path) -> Path:
    """Every layer has a state, which llama.cpp cannot roll back."""
    inner, state, rank, kernel = 2 * WIDTH, 8, 4, 4
    writer, size = _begun(path, "mamba")
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (size, WIDTH), "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        parts = {
            "attn_norm.weight": (WIDTH,),
            "ssm_in.weight": (2 * inner, WIDTH),
            "ssm_conv1d.weight": (inner, kernel),
            "ssm_conv1d.bias": (inner,),
            "ssm_x.weight": (rank + 2 * state, inner),
            "ssm_dt.weight": (inner, rank),
            "ssm_dt.bias": (inner,),
            "ssm_a": (inner, state),
            "ssm_d": (inner,),
            "ssm_out.weight": (WIDTH, inner),
        }
        shapes |= {f"blk.{i}.{name}": shape for name, shape in parts.items()}
    return _written(writer, shapes, path)


def hybrid(path: Path) -> Path:
    """LFM2: layers of attention between short convolutions, whose state llama.cpp keeps copies of."""
    heads, hidden, kernel = 4, 128, 3
    writer, size = _begun(path, "lfm2")
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    attends = [i % 2 == 1 for i in range(LAYERS)]
    writer.add_head_count_kv([heads if own else 0 for own in attends])
    writer.add_rope_freq_base(10000.0)
    writer.add_shortconv_l_cache(kernel)
    norm = (WIDTH,)
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (size, WIDTH), "token_embd_norm.weight": norm}
    for i, own in enumerate(attends):
        parts: dict[str, tuple[int, ...]] = {"attn_norm.weight": norm, "ffn_norm.weight": norm}
        parts |= {"ffn_gate.weight": (hidden, WIDTH), "ffn_up.weight": (hidden, WIDTH)}
        parts |= {"ffn_down.weight": (WIDTH, hidden)}
        if own:
            parts |= {f"attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
            parts |= {f"attn_{name}_norm.weight": (WIDTH // heads,) for name in ("q", "k")}
        else:
            parts |= {
                "shortconv.conv.weight": (WIDTH, kernel),
                "shortconv.in_proj.weight": (3 * WIDTH, WIDTH),
            }
            parts |= {"shortconv.out_proj.weight": (WIDTH, WIDTH)}
        shapes |= {f"blk.{i}.{name}": shape for name, shape in parts.items()}
    return _written(writer, shapes, path)


def _begun(path: Path, architecture: str) -> tuple[gguf.GGUFWriter, int]:
    tokens = [*SPECIALS, *sorted(ByteLevel.alphabet()), "th", "Ġth"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL] * len(SPECIALS) + [NORMAL] * (len(tokens) - len(SPECIALS)))
    writer.add_token_merges(["t h", "Ġ th"])
    writer.add_eos_token_id(2)
    return writer, len(tokens)


def _written(writer: gguf.GGUFWriter, shapes: dict[str, tuple[int, ...]], path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        weights = random.standard_normal(shape).astype(np.float32) * 0.3
        if name.endswith("norm.weight"):
            weights += 1
        writer.add_tensor(name, -np.exp(weights) if name.endswith("ssm_a") else weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
