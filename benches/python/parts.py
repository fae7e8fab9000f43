"""What each part brings by itself, one after the other, for SmolLM2-135M-Instruct with the packaged draft.

    python benches/python/parts.py --threads 1 --json parts.json

Four ways take turns on each prompt: transformers' ``generate``; our passes of the target alone; these and
what the text itself proposes (lookups); all of it, with the draft, as ``method="auto"`` has it. Reading the
prompt is left out. Printed are tokens per second beside ``generate``, medians over prompts with quartiles.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from pathlib import Path
from typing import Any

import torch

from anydraft import drafts, load_model, load_tokenizer
from anydraft.bench.contenders import Ours, Run, Theirs
from anydraft.bench.sets import SETS
from anydraft.loading.folders import packaged

WAYS = ("generate", "our passes", "and lookups", "and the draft")
WARM_UP = 24


def main() -> None:
    """Run and print."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--prompts", type=int, default=6, help="of each set")
    asked.add_argument("--tokens", type=int, default=64)
    asked.add_argument("--sets", nargs="+", default=["code", "prose"])
    asked.add_argument("--json", type=Path)
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    file = packaged("smollm2")
    parts = (load_model(file, torch.float32), *drafts.load("tiny"))
    target, draft, draft_tokenizer = parts
    tokenizer = load_tokenizer(file)
    sides = target, draft, tokenizer, draft_tokenizer
    alone = Ours(sides, "auto", "auto")
    alone.alone = True
    ways = [Theirs(sides, assisted=False), alone, Ours(sides, "lookup", "auto"), Ours(sides, "auto", "auto")]
    record: dict[str, Any] = {
        "machine": f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}, float32",
        "tokens": options.tokens,
        "sets": {},
    }
    for name in options.sets:
        for temperature in (0.0, 0.7):
            rows = []
            for i, prompt in enumerate(SETS[name][: options.prompts]):
                ids = tokenizer(prompt)["input_ids"]
                for way in ways if i == 0 else ():
                    way(ids, WARM_UP, temperature, i)
                order = ways if i % 2 else ways[::-1]
                runs = {id(way): way(ids, options.tokens, temperature, i) for way in order}
                found = [runs[id(way)] for way in ways]
                if temperature == 0 and any(run.ids != found[0].ids for run in found):
                    raise SystemExit(f"{name} {i}: the ways do not say the same")
                rows.append([rate(run) / rate(found[0]) for run in found])
            title = f"{name}, T={temperature:g}"
            record["sets"][title] = rows
            print(f"{title} ({len(rows)} prompts)")
            for j, way in enumerate(WAYS):
                low, middle, high = quartiles([row[j] for row in rows])
                print(f"  {way:<14} {middle:.2f}x  ({low:.2f} to {high:.2f})", flush=True)
            if options.json:
                options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def rate(run: Run) -> float:
    """Tokens per second."""
    return run.counted / run.seconds


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The lower, the middle and the upper one."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


if __name__ == "__main__":
    main()
