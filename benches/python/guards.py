"""What it costs to be sure: of weights that may have changed, and of code of our own for a user's model.

    python benches/python/guards.py [--threads 1] [--tokens 512] [--repeats 9] [--models smollm2 tiny]

The first is paid wherever a decode begins, the second once a model. Both are given as shares of a prefill of
512 tokens, with which they take turns, so that what they read is not in the processor's caches. "copies" says
what there is a second copy of; without one only what is small is looked at.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

from anydraft import drafts
from anydraft.cli.terminal import console
from anydraft.loading.folders import load_model, packaged
from anydraft.loading.quiet import quiet
from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.proof import near, proves
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.twin import twin_of, ways_of
from anydraft.models.transformers import TransformersModel


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@torch.no_grad()
def row(model: Any, weights: Any, tokens: int, repeats: int) -> list[str]:
    """Medians: a prefill in ms, the fingerprint in per cent of it, and the guard in prefills."""
    drafting = weights == "int8"
    sequence = TransformersModel(model, FastPasses(weights, drafts=drafting))
    ids = torch.arange(100, 100 + tokens)
    ways = ways_of(next(model.parameters()))
    exact = "unpacked" if drafting else weights

    def prefill() -> None:
        sequence.crop(0)
        sequence.advance(ids)

    prefill()
    spent: list[list[float]] = [[], [], [], []]
    for _ in range(repeats):
        works: list[Callable[[], Any]] = [
            prefill,
            lambda: twin_of(model, weights, drafts=drafting),
            lambda: proves(model, lambda part: LeanModel(part, ways, exact)),
            lambda: near(model, sequence.runner),
        ]
        for work, kept in zip(works, spent, strict=True):
            kept.append(seconds(work))
    whole, mark, proof, logits = (statistics.median(kept) for kept in spent)
    return [
        f"{1e3 * whole:.0f}",
        f"{1e3 * mark:.2f}",
        f"{100 * mark / whole:.2f} %",
        f"{1e3 * proof:.0f}",
        f"{proof / whole:.2f}",
        f"{logits / whole:.2f}",
    ]


def wide() -> Any:
    """Two layers as those of a model of a billion weights, at random: a fingerprint costs by width."""
    config = LlamaConfig(
        vocab_size=32_000,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=2,
        num_attention_heads=32,
        num_key_value_heads=8,
    )
    return LlamaForCausalLM(config).eval()


MODELS: dict[str, Callable[[], Any]] = {
    "smollm2": lambda: load_model(packaged("smollm2")),
    "gemma3": lambda: load_model(packaged("gemma3")),
    "tiny": lambda: drafts.load("tiny").model,
    "wide": wide,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    models = {name: MODELS[name]() for name in options.models}
    table = Table(title=f"a prefill of {options.tokens} tokens, {options.threads} threads")
    for column in ("", "dtype", "copies"):
        table.add_column(column)
    for column in (
        "prefill, ms",
        "fingerprint, ms",
        "of a prefill",
        "proof, ms",
        "prefills",
        "logits, prefills",
    ):
        table.add_column(column, justify="right")
    for dtype in (torch.float32, torch.bfloat16):
        for name, model in models.items():
            model.to(dtype)
            for weights in ("unpacked", "packed", "int8"):
                if weights != "int8" or (dtype == torch.float32 and ways_of(model.lm_head.weight).int8):
                    shown = row(model, weights, options.tokens, options.repeats)
                    table.add_row(name, str(dtype).removeprefix("torch."), weights, *shown)
    console().print(table)


if __name__ == "__main__":
    with quiet():
        main()
