"""What a block costs a large target on a CPU, with and without a packed copy of its weights.

    python benches/python/packed_copy.py [--hidden 2048] [--intermediate 5632] [--threads 2] [--json FILE]

The target is SmolLM2-135M-Instruct in float32, widened (anydraft/bench/widened.py) to a model of about 1.5
billion weights, 5.8 GB. The ways take turns; printed are medians in milliseconds, and beside them in passes
over one token by the same way. The copy is made where the memory that is left after it suffices
(``anydraft.loading.memory``): whether ``weights="auto"`` makes it here is printed too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from rich.table import Table

from anydraft.bench.widened import widen
from anydraft.cli.terminal import console
from anydraft.loading.folders import load_model, packaged
from anydraft.loading.quiet import quiet
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.twin import weights_of
from anydraft.models.transformers import TransformersModel

SIZES = (1, 2, 3, 4, 5, 8, 16)


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--intermediate", type=int, default=5632)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--context", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = widen(load_model(packaged("smollm2")), options.hidden, options.intermediate)
    count = sum(parameter.numel() for parameter in model.parameters())
    out = console()
    auto = weights_of(model)
    out.print(f"{count / 1e9:.2f} billion weights, {options.threads} threads; auto takes {auto!r}")
    ids = torch.arange(100, 100 + options.context)
    runs = {}
    for way in ("model", "unpacked", "packed"):
        runs[way] = TransformersModel(model, FastPasses(way))
        runs[way].advance(ids)
    spent: dict[str, dict[int, list[float]]] = {way: {k: [] for k in SIZES} for way in runs}
    for turn in range(options.repeats + 1):
        for k in SIZES:
            for way, run in runs.items():
                began = time.perf_counter()
                run.advance(ids[:k], k)
                if turn:  # the first ones warm up
                    spent[way][k].append(1e3 * (time.perf_counter() - began))
                run.crop(options.context)
    found = {way: {k: statistics.median(times) for k, times in each.items()} for way, each in spent.items()}
    table = Table(title="one pass of the target: ms, and in passes over one token")
    for column in ("", *(f"k={k}" for k in SIZES)):
        table.add_column(column, justify="right" if column else "left")
    for way, each in found.items():
        table.add_row(way, *(f"{ms:.0f} ({ms / each[1]:.2f})" for ms in each.values()))
    out.print(table)
    if options.json:
        record = {"weights": count, "threads": options.threads, "auto": auto, "ms": found}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with quiet():
        main()
