"""How often drafts agree with a target, along texts that it wrote on subjects of no training prompt.

    python benches/python/held_out.py tiny other-draft/ [--texts 32] [--target smollm2] [--json FILE]

The target writes ``--texts`` texts of each kind, at temperatures 0, 0.7 and 1 by turns. At every place where
a token of both sides begins, *greedy* is whether both find the same draft token likeliest, *sampled* the
probability that the first drafted token is accepted at temperature 1 (the sum of ``min(p, q)``). Means over
texts with their standard errors; differences are from the first draft, text by text.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from anydraft import load_model, load_tokenizer
from anydraft.bridge import special_tokens
from anydraft.bridge.bridge import Bridge
from anydraft.training import writing
from anydraft.training.distil import Distiller
from anydraft.training.draft import LONGEST
from anydraft.training.measure import KINDS, agreement
from anydraft.training.samples import Sample, Store
from anydraft.training.tasks import Kind, held_out_tasks

SEED = 11


def written(model: Any, tokenizer: Any, kind: Kind, count: int) -> list[Sample]:
    """What the target writes."""
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        writing.draw(model, tokenizer, held_out_tasks(count, SEED, kind), store, seed=SEED)
        return list(store)


def agreements(model: Any, bridge: Bridge, tokenizer: Any, samples: list[Sample]) -> dict[str, list[float]]:
    """For every text: the share of places, and the mean acceptance."""
    distiller = Distiller(bridge, tokenizer)
    lessons = [distiller.lesson(sample, LONGEST) for sample in samples]
    found = [agreement(model, [lesson]) if lesson is not None else None for lesson in lessons]
    return {
        name: [math.nan if a is None else getattr(a, name) for a in found] for name in ("greedy", "sampled")
    }


def with_error(values: list[float]) -> tuple[float, float]:
    """Mean and standard error of those that are there."""
    there = [value for value in values if not math.isnan(value)]
    return statistics.mean(there), statistics.stdev(there) / math.sqrt(len(there))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("drafts", nargs="+", help="names of models: tiny, a folder, ...")
    parser.add_argument("--target", default="smollm2")
    parser.add_argument("--texts", type=int, default=32, help="of each kind")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    target, target_tokenizer = load_model(options.target), load_tokenizer(options.target)
    record: dict[str, Any] = {}
    for kind in KINDS:
        samples = written(target, target_tokenizer, kind, options.texts)
        first: dict[str, list[float]] = {}
        for name in options.drafts:
            model, tokenizer = load_model(name, torch.float32), load_tokenizer(name)
            roles = special_tokens.bridge_roles(target_tokenizer, tokenizer, target.generation_config)
            bridge = Bridge(target_tokenizer, tokenizer, to_target=roles.to_target, to_draft=roles.to_draft)
            found = agreements(model, bridge, tokenizer, samples)
            first = first or found
            for what, values in found.items():
                mean, error = with_error(values)
                told = f"{kind}, {name}, {what}: {mean:.1%} +- {error:.1%}"
                record[f"{kind}, {name}, {what}"] = mean, error
                if found is not first:
                    more = [a - b for a, b in zip(values, first[what], strict=True)]
                    mean, error = with_error(more)
                    told += f", {mean:+.1%} +- {error:.1%}"
                    record[f"{kind}, {name}, {what}, beside the first"] = mean, error
                print(told, flush=True)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
