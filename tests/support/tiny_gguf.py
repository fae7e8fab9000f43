"""A tiny llama as a GGUF file, written from random weights: the whole conversion runs in a second."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONTROL, NORMAL = 3, 1


def write(
    path: Path,
    *,
    seed: int = 0,
    add_bos: bool = False,
    width: int = 64,
    groups: int = 4,
    layers: int = 2,
    hidden: int = 128,
    pre: str | None = None,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q8_0,
) -> Path:
    """Write the file; equal arguments give equal bytes. Matrices are of ``kind``, ``groups``: of keys.

    ``pre``: what it says of how a text is cut.
    """
    tokens = [*SPECIALS, *sorted(ByteLevel.alphabet()), "th", "Ġth"]
    heads = 4
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(layers)
    writer.add_context_length(256)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_rope_freq_base(12345.0)
    writer.add_rope_dimension_count(width // heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL] * len(SPECIALS) + [NORMAL] * (len(tokens) - len(SPECIALS)))
    writer.add_token_merges(["t h", "Ġ th"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(add_bos)
    random = np.random.default_rng(seed)
    shapes = {"token_embd": (len(tokens), width), "output_norm": (width,)}
    for i in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            rows = width // heads * groups if name in ("attn_k", "attn_v") else width
            shapes[f"blk.{i}.{name}"] = (rows, width)
        shapes |= {f"blk.{i}.ffn_gate": (hidden, width), f"blk.{i}.ffn_up": (hidden, width)}
        shapes |= {f"blk.{i}.ffn_down": (width, hidden)}
        shapes |= {f"blk.{i}.attn_norm": (width,), f"blk.{i}.ffn_norm": (width,)}
    for name, shape in shapes.items():
        weights = random.standard_normal(shape).astype(np.float32) * 0.3
        if len(shape) == 2 and name != "token_embd":
            writer.add_tensor(f"{name}.weight", gguf.quants.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{name}.weight", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
