"""What a block costs a mixture of experts, beside a dense model that computes as much for a token.

    python benches/python/experts.py [--experts 32] [--chosen 4] [--threads 2] [--json FILE]

Both are Qwen3 in float32 with random weights, too large for the processor's caches. A token reads
``--chosen`` experts a layer, and the dense model's layers are as wide as those together. Each token of a
block wakes experts of its own, so that the block reads more weights than one token does: how many are awake
is printed. Embeddings are made large, so that random routers send tokens apart as far as chance does; trained
ones send neighbours more often to the same experts, so this is the dear end. The models take turns; printed
are medians in milliseconds, and beside them in passes over one token. Passes are the models' own
(``weights="model"``) and ours (``"auto"``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from anydraft.cli.terminal import console
from anydraft.loading.quiet import quiet
from anydraft.models.fast.runner import FastPasses
from anydraft.models.loaded import embedding_of
from anydraft.models.transformers import TransformersModel

SIZES = (1, 2, 4, 8)
_VOCABULARY = 8192
_APART = 50
"""How many times as large as usual embeddings are."""


def models(experts: int, chosen: int, hidden: int, wide: int, layers: int) -> dict[str, PreTrainedModel]:
    """The mixture, and the dense model of one token's size."""
    shape: dict[str, Any] = {
        "vocab_size": _VOCABULARY,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 128,
        "num_key_value_heads": hidden // 256,
        "head_dim": 128,
        "max_position_embeddings": 4096,
    }
    torch.manual_seed(0)
    mixture = Qwen3MoeConfig(
        **shape, num_experts=experts, num_experts_per_tok=chosen, moe_intermediate_size=wide
    )
    dense = Qwen3Config(**shape, intermediate_size=chosen * wide)
    made: dict[str, PreTrainedModel] = {
        f"{experts} experts": Qwen3MoeForCausalLM(mixture).eval(),
        "dense": Qwen3ForCausalLM(dense).eval(),
    }
    for model in made.values():
        embedding_of(model).data *= _APART
    return made


@torch.no_grad()
def awake(model: PreTrainedModel, text: torch.Tensor, chosen: int) -> dict[int, float]:
    """How many experts of a layer a block reads, on average over blocks of ``text`` and layers."""
    routed = model(input_ids=text[None], output_router_logits=True).router_logits
    found = {}
    for k in SIZES:
        counts = [
            len(block.topk(chosen).indices.unique())
            for logits in routed
            for block in logits.split(k)
            if len(block) == k
        ]
        found[k] = statistics.mean(counts)
    return found


@torch.no_grad()
def times(
    runs: dict[str, TransformersModel], text: torch.Tensor, context: int, repeats: int
) -> dict[str, dict[int, float]]:
    """Medians in milliseconds; every turn reads other tokens, which wake other experts."""
    spent: dict[str, dict[int, list[float]]] = {way: {k: [] for k in SIZES} for way in runs}
    for run in runs.values():
        run.advance(text[:context])
    for turn in range(repeats + 1):
        for k in SIZES:
            block = text[context + 8 * turn :][:k]
            for way, run in runs.items():
                began = time.perf_counter()
                run.advance(block, k)
                if turn:  # the first ones warm up
                    spent[way][k].append(1e3 * (time.perf_counter() - began))
                run.crop(context)
    return {way: {k: statistics.median(each) for k, each in found.items()} for way, found in spent.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experts", type=int, default=32)
    parser.add_argument("--chosen", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--wide", type=int, default=768)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    made = models(options.experts, options.chosen, options.hidden, options.wide, options.layers)
    text = torch.randint(_VOCABULARY, (options.context + 8 * (options.repeats + 2),))
    reads = awake(next(iter(made.values())), text, options.chosen)
    runs = {
        f"{name}, {way}": TransformersModel(model, FastPasses(way))
        for name, model in made.items()
        for way in ("model", "auto")
    }
    found = times(runs, text, options.context, options.repeats)
    table = Table(title="one pass: ms, and in passes over one token")
    for column in ("", *(f"k={k}" for k in SIZES)):
        table.add_column(column, justify="right" if column else "left")
    for way, each in found.items():
        table.add_row(way, *(f"{ms:.1f} ({ms / each[1]:.2f})" for ms in each.values()))
    table.add_row("experts awake in a layer", *(f"{count:.1f}" for count in reads.values()))
    console().print(table)
    if options.json:
        sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in made.items()}
        record = {"weights": sizes, "threads": options.threads, "ms": found, "awake": reads}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with quiet():
        main()
