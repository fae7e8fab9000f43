"""How much each method accepts on the real pair: no coin noise, every method on the same positions.

    python benches/python/acceptance.py [--prompts 7] [--positions 2] [--json FILE]

The target first continues every prompt by itself. At positions along that text each method drafts a block.
Its own verification then says with which probability it keeps how much; the expectation over those coins is
exact, and what is left is the noise of the drafts. Also printed: what a verification costs beside a pass of
the target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

import real_pair
from anydraft.bench.prompts import PROMPTS
from anydraft.models.logits import processed_law
from anydraft.proposers.base import DraftContext
from anydraft.proposers.draft_state import DraftState
from anydraft.proposers.registry import Method, Strategies
from anydraft.sampling.laws import SeededRandomness
from real_pair import Name, Remembering

METHODS: list[Method] = ["slem", "tli", "pushforward", "slrs"]
GAMMA = 5
SPACING = 8


class Probe:
    """Coins that show heads so many times; remembers the probabilities it was asked for."""

    def __init__(self, heads: int, *, only_last: bool = False) -> None:
        self.heads, self.only_last = heads, only_last
        self.asked: list[float] = []

    def draw(self, law: Tensor) -> Tensor:
        return law.argmax(-1)

    def coins(self, probabilities: Tensor) -> Tensor:
        start = len(self.asked)
        self.asked += probabilities.tolist()
        index = torch.arange(start, len(self.asked))
        return index == self.heads - 1 if self.only_last else index < self.heads


class Measured:
    """Expected figures of one block."""

    def __init__(self, kept: list[float], finished: list[int], sizes: list[int]) -> None:
        lengths = [0]
        for size in sizes:
            lengths.append(lengths[-1] + size)
        self.first = sum(p for p, done in zip(kept, finished, strict=True) if done > 0)
        self.tokens = 1 + sum(p * done for p, done in zip(kept, finished, strict=True))
        self.bytes = sum(p * lengths[done] for p, done in zip(kept, finished, strict=True))


def token_rule(coins: list[float]) -> list[float]:
    """Probability of keeping exactly 0..n symbols when each coin must show heads."""
    kept, all_so_far = [], 1.0
    for p in coins:
        kept.append(all_so_far * (1 - p))
        all_so_far *= p
    return [*kept, all_so_far]


def block_rule(coins: list[float]) -> list[float]:
    """The same when the last coin that shows heads decides."""
    kept, none_after = [0.0] * (len(coins) + 1), 1.0
    for i in range(len(coins), 0, -1):
        kept[i] = none_after * coins[i - 1]
        none_after *= 1 - coins[i - 1]
    kept[0] = none_after
    return kept


class Direction:
    """One target with one draft, with memories of all contexts they have seen."""

    def __init__(self, target: Name, draft: Name) -> None:
        self.names = target, draft
        self.bridge = real_pair.bridge(target, draft)
        self.target, self.draft = (real_pair.remembering(name) for name in (target, draft))
        pair = self.bridge, self.target, self.draft
        self.strategies = {rule: Strategies(*pair, rule) for rule in ("token", "block")}
        self.opening = real_pair.speculator(target, draft).engine.plain_prompt([]).view

    def continuation(self, ids: list[int], law: Any, n: int) -> list[int]:
        randomness, out = SeededRandomness(1), list(ids)
        for _ in range(n):
            rows = advance(self.target, out)
            out.append(int(randomness.draw(law(rows, out, torch.empty(0, dtype=torch.int64)))))
        return out

    def measure(
        self, method: Method, committed: list[int], law: Any, seed: int
    ) -> tuple[dict[str, Measured], int]:
        """Both rules on one block drafted after ``committed``, and the draft passes it took."""
        session = self.bridge.session(list(self.opening), committed)
        self.draft.crop(0)
        view = DraftState(self.draft, session.view(), law.without_prefix)
        pending = view.begin(GAMMA)
        assert pending is not None
        device = torch.device("cpu")
        context = DraftContext(view, pending, view.law, session, device, self.target.vocab_size)
        measured = {}
        for rule, strategies in self.strategies.items():
            if rule == "block" and method == "slem":
                measured[rule] = measured["token"]
                continue
            strategy = strategies.get(method)
            if rule == "token":
                block = strategy.draft(context, GAMMA, SeededRandomness(seed))
                candidates = block.candidates.tolist()
                rows = advance(self.target, [*committed, *candidates], len(candidates) + 1)
                laws = law(rows, committed, block.candidates)
                sizes = [len(self.bridge.target.decode([token])) for token in candidates]
            probe = Probe(10**6)
            strategy.verify(block, laws, probe)
            if rule == "token":
                finished = [
                    int(strategy.verify(block, laws, Probe(n))[0]) for n in range(len(probe.asked) + 1)
                ]
            kept = (token_rule if rule == "token" else block_rule)(probe.asked)
            measured[rule] = Measured(kept, finished, sizes)
        return measured, view.passes


def advance(model: Remembering, ids: list[int], keep: int = 1) -> Tensor:
    model.crop(0)
    return model.advance(torch.tensor(ids), keep)


def figures(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return statistics.mean(values), error


def run(direction: Direction, temperature: float, genre: str, prompts: int, positions: int) -> dict[str, Any]:
    """All methods on one genre; the rows of one table."""
    law = processed_law(temperature=temperature)
    tokenizer = real_pair.tokenizer(direction.names[0])
    found: dict[str, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    passes = defaultdict(list)
    for number, prompt in enumerate(PROMPTS[genre][:prompts]):
        ids = tokenizer(prompt)["input_ids"]
        text = direction.continuation(ids, law, SPACING * (positions - 1))
        for position in range(positions):
            committed = text[: len(ids) + SPACING * position]
            for method in METHODS:
                measured, count = direction.measure(method, committed, law, 1000 * number + position)
                passes[method].append(count)
                for rule, figure in measured.items():
                    found[method][rule].append(figure)
    rows: dict[str, Any] = {}
    for method in METHODS:
        token, block = found[method]["token"], found[method]["block"]
        rows[method] = {
            "blocks": len(token),
            "first_acceptance": figures([m.first for m in token]),
            "tokens_per_pass": figures([m.tokens for m in token]),
            "tokens_per_pass_block_rule": figures([m.tokens for m in block]),
            "accepted_bytes_per_pass": figures([m.bytes for m in block]),
            "draft_passes": statistics.mean(passes[method]),
        }
        if method == "slrs":
            against = found["tli"]["block"]
            rows[method]["tokens_minus_tli"] = figures(
                [a.tokens - b.tokens for a, b in zip(block, against, strict=True)]
            )
    return rows


def show(title: str, rows: dict[str, Any]) -> None:
    print(f"\n{title}")
    print(f"{'':12}  first acc.     tokens/pass    (block rule)   accepted bytes  draft passes  blocks")
    for method, row in rows.items():
        cells = (
            "first_acceptance",
            "tokens_per_pass",
            "tokens_per_pass_block_rule",
            "accepted_bytes_per_pass",
        )
        text = "  ".join(f"{row[cell][0]:6.3f}±{row[cell][1]:5.3f}" for cell in cells)
        print(f"{method:12}  {text}  {row['draft_passes']:12.1f}  {row['blocks']:6}")
    tli, slem, slrs = (rows[m]["tokens_per_pass_block_rule"][0] for m in ("tli", "slem", "slrs"))
    wider = rows["slrs"]["accepted_bytes_per_pass"][0] / rows["tli"]["accepted_bytes_per_pass"][0]
    difference = rows["slrs"]["tokens_minus_tli"]
    print(
        f"slrs against tli: tokens x{slrs / tli:.2f} ({difference[0]:+.3f}±{difference[1]:.3f}), "
        f"accepted bytes x{wider:.2f}; against slem: tokens x{slrs / slem:.2f}"
    )


def cost(direction: Direction, repeats: int = 15) -> dict[str, float]:
    """Median times in milliseconds, interleaved: a one-token pass of the target, and each verification."""
    law = processed_law(temperature=1.0)
    ids = real_pair.tokenizer(direction.names[0])(PROMPTS["code"][0])["input_ids"]
    target = direction.target._model
    blocks = {}
    for method in ("tli", "pushforward", "slrs"):
        session = direction.bridge.session(list(direction.opening), ids)
        direction.draft.crop(0)
        view = DraftState(direction.draft, session.view(), law.without_prefix)
        pending = view.begin(GAMMA)
        assert pending is not None
        device = torch.device("cpu")
        context = DraftContext(view, pending, view.law, session, device, direction.target.vocab_size)
        for rule, strategies in direction.strategies.items():
            strategy = strategies.get(method)
            block = strategy.draft(context, GAMMA, SeededRandomness(0))
            rows = advance(direction.target, [*ids, *block.candidates.tolist()], len(block.candidates) + 1)
            blocks[f"{method} ({rule})"] = strategy, block, law(rows, ids, block.candidates)
            view.begin(GAMMA)
    target.crop(0)
    target.advance(torch.tensor(ids))
    times = defaultdict(list)
    for _ in range(repeats):
        began = time.perf_counter()
        target.advance(torch.tensor(ids[-1:]))
        times["target pass"].append(time.perf_counter() - began)
        target.crop(len(ids))
        for name, (strategy, block, laws) in blocks.items():
            began = time.perf_counter()
            strategy.verify(block, laws, SeededRandomness(0))
            times[name].append(time.perf_counter() - began)
    target.crop(0)
    direction.target._cached = []
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=7, help="prompts of each genre, up to 8")
    parser.add_argument("--positions", type=int, default=2, help="blocks along each prompt's continuation")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    record: dict[str, Any] = {"gamma": GAMMA, "torch": torch.__version__}
    for names in (("gemma3", "smollm2"), ("smollm2", "gemma3")):
        direction = Direction(*names)
        title = f"{names[0]} <- {names[1]}"
        times = cost(direction)
        record[f"{title}, cost in ms"] = times
        print(f"\n{title}: " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in times.items()))
        for temperature in (1.0, 0.6):
            for genre in PROMPTS:
                rows = run(direction, temperature, genre, options.prompts, options.positions)
                name = f"{title}, {genre}, T={temperature}"
                record[name] = rows
                show(name, rows)
                sys.stdout.flush()
                if options.json:  # after every table: an interrupted run keeps what it has
                    options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
