"""Speed beside the target alone and beside transformers' assisted generation: what a sceptic would run.

    python benches/python/speed.py [--pairs deep-smollm2] [--sets code] [--json FILE] [--chart FILE]
    python benches/python/speed.py --target DIR --draft DIR

Every contender decodes the same prompts in one run, turn by turn, in an order that rotates from prompt to
prompt. Greedy outputs are compared token for token: what differs from the target alone is not timed, the
run stops. Seconds count from the first tokens on. A ratio is the geometric mean over prompts of *seconds
per token of the target alone / seconds per token*; the interval is a bootstrap over prompts. "The target
alone" is this project's own loop without a draft; transformers' plain ``generate`` is printed too.

Pairs: ``gemma3`` (SmolLM2-135M-Instruct drafts for Gemma-3-270M), ``smollm2`` (the reverse),
``deep-gemma3`` and ``deep-smollm2``, the same with a deepened target: extra layers that compute and add
exactly nothing, so that real text comes out at the cost of a bigger model (``deepened.py``). It is not a
larger model's text.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from chart import write_chart
from contenders import Ours, Run, Theirs
from deepened import check_identical, deepen
from long_prompts import EDITING, LONG, SUMMARISING
from prompts import PROMPTS

import anydraft
from anydraft.models.files import load_model, load_tokenizer, packaged
from anydraft.plans import Plan, agreement

SETS = {
    "code": PROMPTS["code"],
    "prose": PROMPTS["prose"],
    "multilingual": PROMPTS["multilingual"],
    "summarising": SUMMARISING,
    "editing": EDITING,
    "long": LONG,
}
PAIRS = ("gemma3", "smollm2", "deep-gemma3", "deep-smollm2")
DEEPER = {"gemma3": 24, "smollm2": 10}
"""How many times its layers a target needs so that its pass takes at least 8 of its draft's."""
LENGTH = 5
"""Draft tokens of the methods with a fixed length, which the planner's ranking is held against."""
GREEDY, SAMPLED = ("slem", "tli"), ("slrs", "pushforward", "tli", "slem")


@dataclass
class Pair:
    """A target and a draft with their tokenizers."""

    name: str
    parts: tuple[Any, ...]
    note: str = ""

    @classmethod
    def of(cls, name: str, options: argparse.Namespace) -> Pair:
        target = name.removeprefix("deep-")
        draft = "smollm2" if target == "gemma3" else "gemma3"
        sides = [packaged(target), packaged(draft)]  # type: ignore[arg-type]
        models: list[Any] = [load_model(side, dtype=options.dtype) for side in sides]
        note = ""
        if name.startswith("deep-"):
            times = options.deeper or DEEPER[target]
            deep = deepen(models[0], times)
            check_identical(models[0], deep)
            models[0] = deep
            note = f"target deepened to {times} times its layers, outputs bit-identical"
        return cls(name, (*models, *(load_tokenizer(side) for side in sides)), note)


def contenders(pair: Pair, temperature: float, *, shipped: bool) -> dict[str, Any]:
    """Everybody by name; the first is what all are compared with."""
    alone = Ours(pair.parts, "slem", LENGTH)
    alone.alone = True
    found: dict[str, Any] = {"target alone": alone, "transformers": Theirs(pair.parts, assisted=False)}
    name = "transformers SLEM" if temperature == 0 else "transformers TLI"
    found[name] = Theirs(pair.parts, assisted=True)
    if temperature > 0 and shipped:
        found["transformers TLI, as shipped (NOT LOSSLESS)"] = Theirs(pair.parts, assisted=True, prune=True)
    for method in GREEDY if temperature == 0 else SAMPLED:
        found[method] = Ours(pair.parts, method, LENGTH)
    found["lookup"] = Ours(pair.parts, "lookup", "auto")
    found["auto"] = Ours(pair.parts, "auto", "auto")
    return found


def cell(pair: Pair, prompts: list[str], temperature: float, options: argparse.Namespace) -> dict[str, Any]:
    """One prompt set at one temperature: all contenders, and what the planner had predicted."""
    everybody = contenders(pair, temperature, shipped=options.shipped)
    tokenizer = pair.parts[2]
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    tried = {name: failure(contender, ids[0][:24], temperature) for name, contender in everybody.items()}
    failed = {name: why for name, why in tried.items() if why}
    for name in failed:
        del everybody[name]
    plan = anydraft.plan(
        *pair.parts, prompts=prompts[:2], temperature=temperature, new_tokens=options.plan_tokens
    )
    everybody["auto"] = Ours(pair.parts, "auto", "auto", plan=plan)
    runs: dict[str, list[Run]] = defaultdict(list)
    names = list(everybody)
    for turn in range(options.repeats):
        for number, prompt in enumerate(ids):
            shift = (number + turn) % len(names)
            seed = 1000 * turn + number
            for name in names[shift:] + names[:shift]:
                runs[name].append(everybody[name](prompt, options.tokens, temperature, seed))
            if temperature == 0:
                expected = runs["target alone"][-1].ids
                for name in names:
                    if runs[name][-1].ids[: len(expected)] != expected[: len(runs[name][-1].ids)]:
                        raise SystemExit(
                            f"{name} says something else than the target alone: {prompts[number]!r}"
                        )
    told = {name: figures(runs[name], runs["target alone"]) for name in names}
    for name, contender in everybody.items():
        if "NOT LOSSLESS" in name:
            told[name]["total_variation"] = first_token_distance(
                contender, pair, ids[0], temperature, options.samples
            )
            told[name]["noise_floor"] = noise_floor(pair, ids[0], temperature, options.samples)
    return {"contenders": told, "plan": judged(plan, told), "failed": failed}


def fitting(pair: Pair, prompts: list[str], tokens: int) -> list[str]:
    """The prompts that leave room for so many tokens."""
    window = getattr(pair.parts[0].config.get_text_config(), "max_position_embeddings", None) or 10**9
    return [prompt for prompt in prompts if len(pair.parts[2](prompt)["input_ids"]) + tokens < window]


def failure(contender: Any, ids: list[int], temperature: float) -> str:
    """A first call, for tables and memory; why transformers cannot take part, if it cannot."""
    try:
        contender(ids, 12, temperature, 0)
    except Exception as error:
        if not isinstance(contender, Theirs):
            raise
        return f"{type(error).__name__}: {error}"
    return ""


def figures(runs: list[Run], alone: list[Run]) -> dict[str, Any]:
    """The row of one contender."""
    usable = [(a, b) for a, b in zip(runs, alone, strict=True) if a.counted > 0 and b.counted > 0]
    logs = [math.log((b.seconds / b.counted) / (a.seconds / a.counted)) for a, b in usable]
    chance = random.Random(0)
    means = sorted(statistics.mean(chance.choices(logs, k=len(logs))) for _ in range(2000))
    counted, seconds = sum(a.counted for a, _ in usable), sum(a.seconds for a, _ in usable)
    passes = sum(a.passes for a, _ in usable)
    row: dict[str, Any] = {
        "ratio": math.exp(statistics.mean(logs)),
        "interval": [math.exp(means[int(0.025 * len(means))]), math.exp(means[int(0.975 * len(means))])],
        "tokens_per_second": counted / seconds,
        "tokens_per_pass": counted / passes if passes else 0.0,
    }
    stats = [a.stats for a, _ in usable if a.stats is not None]
    if stats:
        draft, target = (sum(getattr(s, f"{n}_seconds") for s in stats) for n in ("draft", "target"))
        bridge = sum(a.bridge for a, _ in usable)
        proposed = sum(s.proposed for s in stats)
        plain = sum(b.stats.target_seconds for _, b in usable if b.stats)
        plain /= sum(b.passes for _, b in usable)
        drafted, draft_passes = sum(s.drafted for s in stats), sum(s.draft_passes for s in stats)
        tau, gamma = counted / passes, drafted / passes
        c, v = (draft / draft_passes if draft_passes else 0.0) / plain, target / passes / plain
        limit = tau / (gamma * c + v) / plain
        row |= {
            "bytes_per_pass": sum(a.bytes for a, _ in usable) / passes,
            "acceptance": sum(s.accepted for s in stats) / proposed if proposed else 0.0,
            "looked_up": sum(s.looked_up for s in stats) / counted,
            "gamma": gamma,
            "c": c,
            "v": v,
            "share": {
                "draft": draft / seconds,
                "target": target / seconds,
                "bridge": bridge / seconds,
                "rest": 1 - (draft + target + bridge) / seconds,
            },
            "of_limit": counted / seconds / limit,
        }
    return row


def judged(plan: Plan, told: dict[str, Any]) -> dict[str, Any]:
    """What the planner had said, against what was measured, at the length that was run."""
    rows = {row.method: row for row in plan.table() if row.length == LENGTH}
    predicted = {method: rows[method].speedup for method in rows if method in told and method != "lookup"}
    measured = {method: told[method]["ratio"] for method in predicted}
    return {
        "recommends": plan.reason(),
        "predicted": predicted,
        "measured": measured,
        "agreement": agreement(predicted, measured, tie=0.03),
        "same_order": sorted(predicted, key=lambda m: -predicted[m])
        == sorted(measured, key=lambda m: -measured[m]),
        "errors": [predicted[method] / measured[method] - 1 for method in predicted],
    }


def first_law(pair: Pair, ids: list[int], temperature: float) -> torch.Tensor:
    """The target's law of the first token."""
    with torch.no_grad():
        logits = pair.parts[0](input_ids=torch.tensor([ids])).logits[0, -1]
    return torch.softmax(logits.double() / temperature, -1)


def distance(drawn: list[int], law: torch.Tensor) -> float:
    """Total variation between the law and what was drawn, on the ten likeliest tokens and all others."""
    top = law.topk(10).indices.tolist()
    shares = [sum(token == t for token in drawn) / len(drawn) for t in top]
    wanted = [float(law[t]) for t in top]
    return 0.5 * (
        sum(abs(a - b) for a, b in zip(shares, wanted, strict=True)) + abs(sum(wanted) - sum(shares))
    )


def first_token_distance(
    contender: Any, pair: Pair, ids: list[int], temperature: float, samples: int
) -> float:
    """How far the emitted law of the first token is from the target's."""
    drawn = [contender(ids, 2, temperature, 10_000 + seed).ids[0] for seed in range(samples)]
    return distance(drawn, first_law(pair, ids, temperature))


def noise_floor(pair: Pair, ids: list[int], temperature: float, samples: int) -> float:
    """The same of as many draws from the target's own law: what a lossless contender would show."""
    law = first_law(pair, ids, temperature)
    generator = torch.Generator().manual_seed(0)
    return distance(torch.multinomial(law, samples, replacement=True, generator=generator).tolist(), law)


def show(title: str, found: dict[str, Any]) -> None:
    print(f"\n{title}")
    print(f"{'':44}   x alone  [95 %]         tok/pass  bytes  accept.  draft target bridge  rest  of limit")
    for name, row in found["contenders"].items():
        low, high = row["interval"]
        line = f"{name:44} {row['ratio']:8.2f}  [{low:.2f}, {high:.2f}]  {row['tokens_per_pass']:10.2f}"
        if "share" in row:
            share = "  ".join(
                f"{100 * row['share'][part]:4.0f}%" for part in ("draft", "target", "bridge", "rest")
            )
            line += f" {row['bytes_per_pass']:6.1f} {row['acceptance']:8.2f}  {share}  {row['of_limit']:8.2f}"
        if "total_variation" in row:
            line += f"  total variation {row['total_variation']:.2f} (noise {row['noise_floor']:.2f})"
        print(line)
    for name, why in found["failed"].items():
        print(f"{name} failed: {why}")
    plan = found["plan"]
    errors = ", ".join(f"{100 * error:+.0f} %" for error in plan["errors"])
    print(f"plan: {plan['recommends']}")
    print(f"      order agrees {100 * plan['agreement']:.0f} %; speed-ups off by {errors}")
    sys.stdout.flush()


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """The figures that the project's goals are about."""
    cells = record["cells"]
    rows = [(name, found["contenders"]) for name, found in cells.items()]
    theirs = [
        (row["auto"]["tokens_per_second"] / other["tokens_per_second"], f"{who} on {name}")
        for name, row in rows
        for who, other in row.items()
        if who in ("transformers SLEM", "transformers TLI")
    ]
    errors = [abs(error) for found in cells.values() for error in found["plan"]["errors"]]
    return {
        "auto beside the target alone, least": min((row["auto"]["ratio"], name) for name, row in rows),
        "auto beside transformers' lossless assisted generation, least": min(theirs, default=None),
        "auto beside the limit, least": min((row["auto"]["of_limit"], name) for name, row in rows),
        "outside the models, most, auto": max(
            (row["auto"]["share"]["bridge"] + row["auto"]["share"]["rest"], name) for name, row in rows
        ),
        "cells whose order was predicted": statistics.mean(
            found["plan"]["agreement"] == 1 for found in cells.values()
        ),
        "error of predicted speed-ups, median": statistics.median(errors) if errors else None,
    }


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", nargs="*", default=["deep-smollm2", "gemma3", "smollm2"], choices=PAIRS)
    parser.add_argument("--target", type=Path, help="a pair of your own: folder or GGUF file of the target")
    parser.add_argument("--draft", type=Path, help="and of the draft")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--temperatures", nargs="*", type=float, default=[0.0, 0.7])
    parser.add_argument("--prompts", type=int, default=4, help="prompts of each set")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens for each prompt")
    parser.add_argument(
        "--plan-tokens", type=int, default=40, help="tokens that the planner lets the target write"
    )
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--deeper", type=int, help="times its layers for a deepened target")
    parser.add_argument(
        "--shipped", action="store_true", help="also transformers' TLI as shipped: not lossless"
    )
    parser.add_argument(
        "--samples", type=int, default=100, help="draws that its total variation is measured by"
    )
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--chart", type=Path, help="write a chart here (HTML)")
    return parser.parse_args(arguments)


def pairs_of(options: argparse.Namespace) -> list[Any]:
    """What makes each pair, one after the other: two large models need not be in memory at once."""
    if not options.target:
        return [lambda name=name: Pair.of(name, options) for name in options.pairs]
    sides = options.target, options.draft

    def own() -> Pair:
        models = [load_model(side, dtype=options.dtype) for side in sides]
        return Pair(
            f"{sides[0].name} <- {sides[1].name}", (*models, *(load_tokenizer(side) for side in sides))
        )

    return [own]


def main() -> None:
    options = options_of()
    torch.set_num_threads(options.threads)
    settings = {name: str(value) for name, value in vars(options).items()}
    record: dict[str, Any] = {
        "settings": settings,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "notes": {},
        "cells": {},
    }
    for make in pairs_of(options):
        pair = make()
        record["notes"][pair.name] = pair.note
        for name in options.sets:
            for temperature in options.temperatures:
                title = f"{pair.name}, {name}, T={temperature:g}"
                prompts = fitting(pair, SETS[name], options.tokens)[: options.prompts]
                if not prompts:
                    print(f"\n{title}: no prompt fits into the target's window")
                    continue
                found = cell(pair, prompts, temperature, options)
                record["cells"][title] = found
                show(f"{title} ({pair.note})" if pair.note else title, found)
                if options.json:  # after every table: an interrupted run keeps what it has
                    options.json.write_text(json.dumps(record, indent=1) + "\n")
    record["summary"] = summary(record) if record["cells"] else {}
    for what, value in record["summary"].items():
        print(f"{what}: {value}")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    if options.chart:
        write_chart(record, options.chart)


if __name__ == "__main__":
    main()
