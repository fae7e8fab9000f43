"""What one pass takes: as transformers runs it, with packed weights, lean, in bytes, and compiled.

    python benches/python/passes.py [--threads 2] [--context 200] [--tokens 1 5] [--repeats 60] [--no-compile]

The packaged models and the packaged draft, float32 on a CPU; and Gemma-3 as a draft for SmolLM2, its head
trimmed to the tokens of both. The ways take turns, three passes at a time as a draft makes them, so that a
slow spell of the machine meets all of them; printed are medians in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from rich.table import Table
from transformers import DynamicCache

from anydraft import Speculator, drafts
from anydraft.cli.terminal import console
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.quiet import quiet
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.select import quicker
from anydraft.models.fast.twin import module_twin
from anydraft.models.transformers import TransformersModel

TOGETHER = 3
"""FastPasses one after the other."""


class Own:
    """A model called as it is, with the cache that transformers makes."""

    def __init__(self, model: Any, context: torch.Tensor) -> None:
        self._model, self._cache = model, DynamicCache(config=model.config)
        self._call(context)

    def _call(self, ids: torch.Tensor) -> None:
        self._model(input_ids=ids[None], past_key_values=self._cache, logits_to_keep=len(ids))

    def __call__(self, ids: torch.Tensor) -> float:
        began = time.perf_counter()
        self._call(ids)
        seconds = time.perf_counter() - began
        self._cache.crop(-len(ids))  # a negative number means "this many fewer" in every version
        return seconds


class Ours:
    """The same through :class:`TransformersModel`."""

    def __init__(self, model: TransformersModel, context: torch.Tensor) -> None:
        self._model = model
        model.warm()
        model.advance(context)

    def __call__(self, ids: torch.Tensor) -> float:
        length = self._model.length
        began = time.perf_counter()
        self._model.advance(ids, len(ids))
        seconds = time.perf_counter() - began
        self._model.crop(length)
        return seconds


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=200)
    parser.add_argument("--tokens", type=int, nargs="*", default=[1, 5])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    models = {
        "SmolLM2-135M-Instruct": load_model(packaged("smollm2")),
        "Gemma-3-270M": load_model(packaged("gemma3")),
        "tiny": drafts.load("tiny").model,
    }
    ways = quicker(torch.float32, options.threads)
    names = ["transformers", "packed weights", "lean", "lean, packed", "lean, int8"]
    names += ["packed, compiled", "int8, compiled"] * options.compile
    table = Table(title=f"one pass, ms, {options.threads} threads, after {options.context} tokens")
    for column in ("", "tokens", *names):
        table.add_column(column, justify="right" if column else "left")
    for name, model in models.items():
        context = torch.arange(100, 100 + options.context)
        runs: list[Any] = [
            Own(model, context),
            Own(module_twin(model, ways, "packed"), context),
            Ours(TransformersModel(model, FastPasses("unpacked")), context),
            Ours(TransformersModel(model, FastPasses("packed")), context),
            Ours(TransformersModel(model, FastPasses("int8")), context),
        ]
        if options.compile:
            made = [FastPasses(weights, compile=True) for weights in ("packed", "int8")]
            runs += [Ours(TransformersModel(model, passes), context) for passes in made]
        for n in options.tokens:
            table.add_row(name, str(n), *times(runs, n, options.repeats))
    trimmed = [None, None, *(trimmed_draft(models, weights) for weights in ("unpacked", "packed", "int8"))]
    runs = [model and Ours(model, torch.arange(100, 100 + options.context)) for model in trimmed]
    table.add_row("Gemma-3-270M, head trimmed", "1", *times(runs, 1, options.repeats))
    console().print(table)


def trimmed_draft(models: dict[str, Any], weights: Any) -> Any:
    """Gemma-3 as it drafts for SmolLM2."""
    sides = [load_tokenizer(packaged("smollm2")), load_tokenizer(packaged("gemma3"))]
    pair = Speculator(*list(models.values())[:2], *sides, draft_head="shared", draft_weights=weights)
    return pair.engine.sequences()[1]


def times(runs: list[Any], tokens: int, repeats: int) -> list[str]:
    """Median milliseconds of each; empty where there is none."""
    ids = torch.arange(500, 500 + tokens)
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + 1):
        for run, kept in zip(runs, seconds, strict=True):
            spent = [run(ids) if run else 0.0 for _ in range(TOGETHER)]
            if turn:  # the first ones warm up
                kept += spent
    return [
        f"{1e3 * statistics.median(kept):.2f}" if run else "" for run, kept in zip(runs, seconds, strict=True)
    ]


if __name__ == "__main__":
    with quiet():
        main()
