"""llama.cpp alone, its own prompt lookup, and anydraft on the same files, by turns in one run.

    python benches/python/llama_engine.py [--pairs smollm2-f16] [--sets code] [--json FILE] [--chart FILE]

A pair is a target file and a draft: SmolLM2-135M-Instruct or Gemma-3-270M at its own precision (Q4), in Q4_0
or in F16, and the packaged draft in PyTorch (``tiny``) or the other of the two files in llama.cpp
(``other``). "The target alone" is this project's own loop without a draft; ``llama.cpp`` is
``Llama.generate``. For models of your own: ``anydraft bench``.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import llama_cpp
import torch

from anydraft import drafts
from anydraft.bench.comparison import Pair, Settings
from anydraft.bench.llama_cpp import converted
from anydraft.bench.record import Comparison
from anydraft.bench.sets import SETS
from anydraft.cli.bench import show
from anydraft.cli.terminal import console, error_console
from anydraft.loading.folders import load_tokenizer, packaged

TARGETS, KINDS, DRAFTS = ("smollm2", "gemma3"), ("own", "q4_0", "f16"), ("tiny", "other")
PAIRS = ["-".join(parts) for parts in product(TARGETS, KINDS, DRAFTS)]


def opened(path: Path, threads: int) -> Any:
    return llama_cpp.Llama(
        str(path), n_ctx=2048, n_threads=threads, n_threads_batch=threads, flash_attn=True, verbose=False
    )


def pair_of(name: str, threads: int) -> Pair:
    """The models of a pair's name."""
    target, kind, draft = name.split("-")
    path = packaged(target)  # type: ignore[arg-type]
    big = opened(path if kind == "own" else converted(path, kind), threads)  # type: ignore[arg-type]
    if draft == "tiny":
        small, tokenizer = drafts.load("tiny")
        return Pair(name, (big, small, load_tokenizer(path), tokenizer))
    other = packaged("gemma3" if target == "smollm2" else "smollm2")
    return Pair(name, (big, opened(other, threads), load_tokenizer(path), load_tokenizer(other)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", nargs="+", default=["smollm2-f16-tiny", "smollm2-own-tiny"], choices=PAIRS)
    parser.add_argument("--sets", nargs="+", default=["code", "prose"], choices=list(SETS))
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0])
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="of anydraft only auto")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    comparison = Comparison(
        {name: SETS[name] for name in options.sets},
        options.temperatures,
        options.prompts,
        Settings(tokens=options.tokens, repeats=options.repeats, quick=options.quick),
        json_path=options.json,
        chart_path=options.chart,
    )
    out = console()
    with error_console().status("measuring") as status:
        pairs = [partial(pair_of, name, options.threads) for name in options.pairs]
        for cell in comparison.run(pairs, status.update):
            show(out, cell)


if __name__ == "__main__":
    main()
