"""How much of a decode is spent outside both models' forward calls, on the real pair.

    python benches/python/overhead.py [--json FILE]

Every method decodes the same prompts; the figure is 1 - (draft passes + target passes) / wall time, measured
by the loop itself (``Stats.overhead``), median over the prompts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

import real_pair
from anydraft.bench.prompts import PROMPTS
from anydraft.proposers.registry import Method

CASES: list[tuple[Method, float]] = [
    ("slem", 0.0),
    ("slem", 1.0),
    ("tli", 1.0),
    ("pushforward", 1.0),
    ("slrs", 1.0),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    torch.set_num_threads(2)
    record = {}
    for target, draft in (("gemma3", "smollm2"), ("smollm2", "gemma3")):
        pairs = {method: real_pair.speculator(target, draft, method) for method, _ in CASES}
        for method, temperature in CASES:
            run = pairs[method].generate
            run(PROMPTS["prose"][0], max_new_tokens=4, temperature=temperature, seed=0)  # tables, memory
            stats = [
                run(prompts[0], max_new_tokens=32, temperature=temperature, seed=0).stats
                for prompts in PROMPTS.values()
            ]
            share = statistics.median(each.overhead for each in stats)
            name = f"{target} <- {draft}, {method}, T={temperature}"
            record[name] = share
            print(f"{name:45} {100 * share:5.2f} % of {sum(each.seconds for each in stats):5.1f} s")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
