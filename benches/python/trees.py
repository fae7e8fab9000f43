"""Accepted tokens of a line and of a tree, at as many verified tokens, on the same places of the same texts.

    python benches/python/trees.py --json FILE [--pairs smollm2:tiny] [--sets code prose] [--temperatures 0 1]

The target continues every prompt; at places along that text a line is drafted, and one with a tree beside it,
as ``"auto"`` does: by exact match at temperature 0, else by class coupling. The expectation of what is
accepted is computed from the target's own law: no coin is thrown. Eight tokens are verified of each: of the
line the first eight, of a tree its line and the likeliest candidates beside it. How many tokens a tree's line
is drafted of is decided by what such trees have brought at the places before, trials included. Errors are
those between places.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from acceptance import Probe, figures, token_rule
from torch import Tensor

import anydraft
from anydraft.bench.sets import SETS
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.proposal import Verdict
from anydraft.decoding.sequence import Row
from anydraft.models.base import Branching
from anydraft.models.logits import processed_law
from anydraft.proposers import branches, draw
from anydraft.proposers.base import Block, DraftContext
from anydraft.proposers.draw import draft_together
from anydraft.sampling.laws import Greedy, SeededRandomness
from anydraft.scheduling.directors import Choice

VERIFIED = 8
SPACING = 3
"""Tokens from one place to the next."""
LINE = 12
"""Draft tokens of a line: as many as make eight candidates or more, of which eight are counted."""
SPLITS = (4, 6, 3, LINE)
"""Draft tokens of a tree's line, in the order in which they are tried."""
TRIALS = 2
"""Places at which each is tried first."""
KINDS = ("line", "tree")


class Splits:
    """Which of :data:`SPLITS` has brought most so far, beside the line at the same places."""

    def __init__(self) -> None:
        self.gains: dict[int, list[float]] = {length: [] for length in SPLITS}

    def best(self) -> int:
        for length, gains in self.gains.items():
            if len(gains) < TRIALS:
                return length
        return max(SPLITS, key=lambda length: sum(self.gains[length]) / len(self.gains[length]))


def filled(block: Block, likely: tuple[Tensor, Tensor], context: DraftContext) -> Block:
    """The block with so many candidates beside its line that eight are verified."""
    branches.MOST = max(0, VERIFIED - len(block.candidates))
    return branches.branched(block, likely, context) if branches.MOST else block


class Watching(Probe):
    """Coins that show heads so many times; remembers the law that is drawn from."""

    law: Tensor

    def draw(self, law: Tensor) -> Tensor:
        self.law = law
        return super().draw(law)


def expected(row: Row, strategy: Any, block: Block) -> tuple[float, int]:
    """Accepted tokens, and verified ones; of a line at most so many as are to be verified."""
    beside, line = block.branches, len(block.candidates)
    ids = torch.cat((block.candidates, block.candidates.new_tensor(beside.ids if beside else [])))
    parents = [*range(line), *(beside.parents if beside else [])]
    fed, target = torch.cat((row.unfed, ids)), row.target
    assert isinstance(target, Branching)
    logits = target.branch(fed, parents) if beside else row.target.advance(fed, 1 + line)
    laws = row.law(logits, row.committed.ids, ids)  # type: ignore[operator]
    row.target.crop(len(row.committed) - 1)
    tokens = ids.tolist()

    def behind(place: int, law: Tensor) -> float:
        """Accepted behind a place whose next token is drawn from ``law`` ``[V]``."""
        children = [i for i in range(line, len(tokens)) if parents[i] == place]
        return sum(float(law[tokens[i]]) * (1 + behind(i + 1, laws[i + 1])) for i in children)

    every = Watching(10**6)
    strategy.verify(block, laws[: line + 1], every)
    accepted = 0.0
    for heads, chance in enumerate(token_rule(every.asked)):
        if chance:
            watching = Watching(heads)
            held = int(strategy.verify(block, laws[: line + 1], watching)[0])
            accepted += chance * (min(held, VERIFIED) + behind(held, watching.law.view(-1)))
    return accepted, min(len(tokens), VERIFIED)


def places(
    pair: anydraft.Speculator, prompt: str, count: int, temperature: float, splits: Splits
) -> Iterator[dict[str, tuple[float, int]]]:
    """What a line and a tree are expected to accept, and how much of them is verified, place after place."""
    law = processed_law(temperature=temperature)
    greedy = temperature == 0
    method = "slem" if greedy else "slrs"
    options: Any = {} if greedy else {"temperature": temperature, "seed": 7}
    text = pair.generate(prompt, max_new_tokens=SPACING * count + 1, **options).token_ids
    engine = pair.engine
    row = engine.row(
        engine.prompt(prompt),
        PairCaches(*engine.sequences()),
        law=law,
        draft_law=law.without_prefix,
        randomness=Greedy() if greedy else SeededRandomness(3),
        max_new_tokens=10**6,
        end_ids=frozenset(),
    )
    for at in range(0, len(text) - SPACING + 1, SPACING):
        found: dict[str, tuple[float, int]] = {}
        split = splits.best()
        for kind, length in zip(KINDS, (LINE, split), strict=True):
            if kind == "tree" and split == LINE and found["line"][1] == VERIFIED:  # no room beside it
                found[kind] = found["line"]
                continue
            row.trees = kind == "tree"
            if not greedy:  # a shorter line begins with the same draws
                row.randomness = SeededRandomness(at)
            proposal, draft = row.open(Choice(method, length, least=0.0))
            assert draft is not None
            (block,) = draft_together([draft])
            assert isinstance(block, Block)
            found[kind] = expected(row, row.strategies(method), block)
        splits.gains[split].append(found["tree"][0] - found["line"][0])
        yield found
        drafted = block.draft_ids.tolist()
        new, reason = row.emit(text[at : at + SPACING])
        row.commit(proposal.with_block(block), Verdict(drafted, [], 0, new, reason, None))


def cell(pair: anydraft.Speculator, prompts: Sequence[str], count: int, temperature: float) -> dict[str, Any]:
    """One pair, one set of prompts, one temperature."""
    accepted, verified, splits = defaultdict(list), defaultdict(list), Splits()
    for prompt in prompts:
        for found in places(pair, prompt, math.ceil(count / len(prompts)), temperature, splits):
            for kind, (held, size) in found.items():
                accepted[kind].append(held)
                verified[kind].append(float(size))
    means = {kind: figures(values) for kind, values in accepted.items()}
    return {
        "places": len(accepted["tree"]),
        "accepted": means,
        "verified": {kind: figures(values)[0] for kind, values in verified.items()},
        "difference": figures([a - b for a, b in zip(accepted["tree"], accepted["line"], strict=True)]),
        "accepted, ratio": means["tree"][0] / max(means["line"][0], 1e-9),
        "tokens a pass, ratio": (1 + means["tree"][0]) / (1 + means["line"][0]),
        "places of each split": {str(length): len(gains) for length, gains in splits.gains.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", nargs="+", default=["smollm2:tiny", "gemma3:smollm2", "gemma3:tiny"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 0.7, 1.0])
    parser.add_argument("--places", type=int, default=208)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    draw.branched = filled  # an equal number of verified tokens, not those that pay
    record: dict[str, Any] = {}
    for names in options.pairs:
        target, draft = names.split(":")
        pair = anydraft.Speculator(
            anydraft.load_model(target),
            anydraft.load_model(draft),
            anydraft.load_tokenizer(target),
            anydraft.load_tokenizer(draft),
        )
        for temperature in options.temperatures:
            for name in options.sets:
                began = time.time()
                found = cell(pair, SETS[name], options.places, temperature)
                record[f"{target} <- {draft}, T={temperature:g}, {name}"] = found
                options.json.write_text(json.dumps(record, indent=1) + "\n")
                (line, _), (tree, _) = (found["accepted"][kind] for kind in KINDS)
                sizes, (difference, error) = found["verified"], found["difference"]
                print(
                    f"{names:15} T={temperature:<4g}{name:13}{found['places']:4} places  "
                    f"line {line:.3f} of {sizes['line']:.1f}  tree {tree:.3f} of {sizes['tree']:.1f}  "
                    f"{difference:+.3f} +- {error:.3f}  accepted x{found['accepted, ratio']:.2f}  "
                    f"tokens a pass x{found['tokens a pass, ratio']:.2f}  ({time.time() - began:.0f} s)  "
                    f"{found['places of each split']}"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
