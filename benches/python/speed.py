"""The comparison of ``anydraft bench`` on the packaged real pair, and with a deepened target.

    python benches/python/speed.py [--pairs deep-smollm2] [--sets code] [--json FILE] [--chart FILE]

Pairs: ``gemma3`` (SmolLM2-135M-Instruct drafts for Gemma-3-270M), ``smollm2`` (the reverse), ``tiny`` (the
packaged draft for SmolLM2-135M-Instruct, whose pass takes twenty times as long), ``self`` (SmolLM2 drafts for
itself, in bytes), ``deep-gemma3`` and
``deep-smollm2``: the first two with a deepened target, whose extra layers compute and add exactly nothing, so
that real text comes out at the cost of a bigger model (``anydraft/bench/deepened.py``).
It is not a larger model's text. For models of your own: ``anydraft bench``.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from anydraft import drafts
from anydraft.bench.comparison import Pair, Settings
from anydraft.bench.deepened import check_identical, deepen
from anydraft.bench.record import Comparison
from anydraft.bench.sets import SETS
from anydraft.cli.bench import show
from anydraft.cli.terminal import console, error_console
from anydraft.loading.folders import load_model, load_tokenizer, packaged

PAIRS = ("gemma3", "smollm2", "tiny", "self", "deep-gemma3", "deep-smollm2")
DEEPER = {"gemma3": 24, "smollm2": 10}
"""How many times its layers a target needs so that its pass takes at least 8 of its draft's."""


def pair_of(name: str, options: argparse.Namespace) -> Pair:
    """The packaged models of a pair's name."""
    dtype = getattr(torch, options.dtype)
    if name == "tiny":
        side, draft = packaged("smollm2"), drafts.load("tiny")
        models: list[Any] = [load_model(side, dtype=dtype), draft.model.to(dtype)]
        return Pair(name, (*models, load_tokenizer(side), draft.tokenizer))
    if name == "self":
        side = packaged("smollm2")
        one, tokenizer = load_model(side, dtype=dtype), load_tokenizer(side)
        return Pair(name, (one, one, tokenizer, tokenizer))
    target: Any = name.removeprefix("deep-")
    sides = [packaged(target), packaged("smollm2" if target == "gemma3" else "gemma3")]
    models = [load_model(side, dtype=dtype) for side in sides]
    note = ""
    if name.startswith("deep-"):
        times = options.deeper or DEEPER[target]
        deep = deepen(models[0], times)
        check_identical(models[0], deep)
        models[0] = deep
        note = f"target deepened to {times} times its layers, outputs bit-identical"
    return Pair(name, (*models, *(load_tokenizer(side) for side in sides)), note)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", nargs="*", default=["tiny", "gemma3", "smollm2"], choices=PAIRS)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--temperatures", nargs="*", type=float, default=[0.0, 0.7])
    parser.add_argument("--prompts", type=int, default=4, help="prompts of each set")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens for each prompt")
    parser.add_argument("--plan-tokens", type=int, default=40, help="tokens that the planner has written")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--deeper", type=int, help="times its layers for a deepened target")
    parser.add_argument("--shipped", action="store_true", help="also transformers' TLI as shipped")
    parser.add_argument("--quick", action="store_true", help="of anydraft only method auto")
    parser.add_argument("--no-transformers", dest="theirs", action="store_false")
    parser.add_argument("--samples", type=int, default=100, help="draws for its total variation")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--chart", type=Path, help="write a chart here (HTML)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    comparison = Comparison(
        {name: SETS[name] for name in options.sets},
        options.temperatures,
        options.prompts,
        Settings(
            options.tokens,
            options.repeats,
            options.plan_tokens,
            options.samples,
            options.shipped,
            options.quick,
            options.theirs,
        ),
        json_path=options.json,
        chart_path=options.chart,
    )
    out = console()
    with error_console().status("measuring") as status:
        for cell in comparison.run(
            [partial(pair_of, name, options) for name in options.pairs], status.update
        ):
            show(out, cell)
    for what, value in comparison.record.get("summary", {}).items():
        out.print(f"{what}: {value}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
