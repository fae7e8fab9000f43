"""The comparison a sceptic would run: the target alone, transformers' assisted generation, and anydraft.

Every contender decodes the same prompts in one run, turn by turn, in an order that rotates from prompt to
prompt, and each has the target alone decode the same prompt next to it, before and after in turns: machines
have slow spells. Greedy outputs are compared token for token: what differs from the target alone is not
timed, the run stops; but llama.cpp's passes of one and of several tokens may differ at near ties, so where it
runs the target such prompts are counted (``"parted"``). Seconds count from the first tokens on. A ratio is
the geometric mean over prompts of *seconds per token of the target alone, next to it / seconds per token*;
the interval is a bootstrap over prompts. "The target alone" is this project's own loop without a draft;
transformers' plain ``generate`` is a contender too.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from anydraft.bench.contenders import Ours, Run, Theirs
from anydraft.bench.llama_cpp import LlamaAlone
from anydraft.errors import AnydraftError, ArgumentError
from anydraft.models.llama_cpp.objects import is_llama
from anydraft.planner import plan as measure
from anydraft.scheduling.plan import Plan

LENGTH = 5
"""Draft tokens of the methods with a fixed length, which the planner's ranking is held against."""
GREEDY, SAMPLED = ("slem", "tli"), ("slrs", "pushforward", "tli", "slem")
ALONE = "target alone"
NOT_LOSSLESS = "transformers TLI, as shipped (NOT LOSSLESS)"


class DifferentOutputError(AnydraftError, AssertionError):
    """A contender's greedy output is not the target's own: nothing of it is timed."""


@dataclass
class Pair:
    """A target and a draft with their tokenizers."""

    name: str
    parts: tuple[Any, ...]
    note: str = ""
    """What must be said wherever the pair's figures are shown."""


@dataclass(frozen=True)
class Settings:
    """How much is run."""

    tokens: int = 64
    """New tokens for each prompt."""
    repeats: int = 1
    plan_tokens: int = 40
    """Tokens that the planner lets the target write."""
    samples: int = 100
    """Draws that a total variation is measured by."""
    shipped: bool = False
    """Whether transformers' TLI takes part as it is shipped, too: it is not lossless."""
    quick: bool = False
    """Whether of anydraft only ``auto`` takes part: nothing is said of the planner's order then."""
    theirs: bool = True
    """Whether transformers takes part."""


def contenders(pair: Pair, temperature: float, options: Settings) -> dict[str, Any]:
    """Everybody by name; the first is what all are compared with."""
    alone = Ours(pair.parts, "slem", LENGTH)
    alone.alone = True
    found: dict[str, Any] = {ALONE: alone}
    if is_llama(pair.parts[0]):
        found["llama.cpp"] = LlamaAlone(pair.parts[0])
        found["llama.cpp lookup"] = LlamaAlone(pair.parts[0], lookup=True)
    elif options.theirs and not is_llama(pair.parts[1]):
        found["transformers"] = Theirs(pair.parts, assisted=False)
        name = "transformers SLEM" if temperature == 0 else "transformers TLI"
        found[name] = Theirs(pair.parts, assisted=True)
    if temperature > 0 and options.shipped:
        found[NOT_LOSSLESS] = Theirs(pair.parts, assisted=True, prune=True)
    if not options.quick:
        for method in GREEDY if temperature == 0 else SAMPLED:
            found[method] = Ours(pair.parts, method, LENGTH)
        found["lookup"] = Ours(pair.parts, "lookup", "auto")
    found["auto"] = Ours(pair.parts, "auto", "auto")
    return found


def cell(
    pair: Pair,
    prompts: Sequence[str],
    temperature: float,
    options: Settings,
    told_of: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """One prompt set at one temperature: all contenders, and what the planner had predicted."""
    everybody = contenders(pair, temperature, options)
    tokenizer = pair.parts[2]
    ids = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    tried = {name: failure(contender, ids[0][:24], temperature) for name, contender in everybody.items()}
    failed = {name: why for name, why in tried.items() if why}
    for name in failed:
        del everybody[name]
    plan = measure(*pair.parts, prompts=prompts[:2], temperature=temperature, new_tokens=options.plan_tokens)
    everybody["auto"] = Ours(pair.parts, "auto", "auto", plan=plan)
    runs: dict[str, list[Run]] = defaultdict(list)
    beside: dict[str, list[Run]] = defaultdict(list)
    parted: dict[str, int] = defaultdict(int)
    target_alone = everybody.pop(ALONE)
    names = list(everybody)
    for turn in range(options.repeats):
        for number, prompt in enumerate(ids):
            shift = (number + turn) % len(names)
            seed = 1000 * turn + number
            for name in names[shift:] + names[:shift]:
                told_of(f"prompt {number + 1} of {len(ids)}: {name}")
                neighbours = [(runs, everybody[name]), (beside, target_alone)]
                for kept, contender in neighbours if (number + turn) % 2 else reversed(neighbours):
                    kept[name].append(contender(prompt, options.tokens, temperature, seed))
            if temperature == 0:
                expected = beside[names[0]][-1].ids
                for name in names:
                    if runs[name][-1].ids[: len(expected)] == expected[: len(runs[name][-1].ids)]:
                        continue
                    if not is_llama(pair.parts[0]):  # whose own passes of several sizes differ at near ties
                        raise DifferentOutputError(
                            f"{name} says something else than the target alone: {prompts[number]!r}"
                        )
                    parted[name] += 1
    alone = [run for name in names for run in beside[name]]
    told = {ALONE: figures(alone, alone)}
    told |= {name: figures(runs[name], beside[name]) for name in names}
    for name, contender in everybody.items():
        if name == NOT_LOSSLESS:
            told[name]["total_variation"] = first_token_distance(
                contender, pair, ids[0], temperature, options.samples
            )
            told[name]["noise_floor"] = noise_floor(pair, ids[0], temperature, options.samples)
    return {"contenders": told, "plan": judged(plan, told), "failed": failed, "parted": parted}


def fitting(pair: Pair, prompts: Sequence[str], tokens: int) -> list[str]:
    """The prompts that leave room for so many tokens."""
    target = pair.parts[0]
    if is_llama(target):
        window = target.n_ctx()
    else:
        window = getattr(target.config.get_text_config(), "max_position_embeddings", None) or 10**9
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
    """The row of one contender.

    Raises:
        ArgumentError: no run has tokens to measure.
    """
    usable = [(a, b) for a, b in zip(runs, alone, strict=True) if a.counted > 0 and b.counted > 0]
    if not usable:
        raise ArgumentError(
            f"got {len(runs)} runs in which nothing follows a first token, of a contender or of the target "
            "alone; expected prompts that the target goes on with. Give others"
        )
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
        "passes": plan.passes(),
        "predicted": predicted,
        "measured": measured,
        "agreement": agreement(predicted, measured, tie=0.03),
        "of_best": measured[max(predicted, key=lambda m: predicted[m])] / max(measured.values())
        if predicted
        else None,
        "same_order": sorted(predicted, key=lambda m: -predicted[m])
        == sorted(measured, key=lambda m: -measured[m]),
        "errors": [predicted[method] / measured[method] - 1 for method in predicted],
    }


def agreement(predicted: Mapping[str, float], measured: Mapping[str, float], tie: float = 0.0) -> float:
    """The share of pairs of methods that two speed tables put in the same order.

    Pairs whose measured speeds are within ``tie`` (a share) of each other agree in any order.
    """
    names = sorted(predicted.keys() & measured.keys())
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    same = [
        (predicted[a] > predicted[b]) == (measured[a] > measured[b])
        or abs(measured[a] - measured[b]) <= tie * max(measured[a], measured[b])
        for a, b in pairs
    ]
    return sum(same) / len(same) if same else 1.0


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
    apart = sum(abs(a - b) for a, b in zip(shares, wanted, strict=True))
    return 0.5 * float(apart + abs(sum(wanted) - sum(shares)))


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


def summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that the project's goals are about."""
    cells = record["cells"]
    rows = [(name, found["contenders"]) for name, found in cells.items()]
    theirs = [
        (row["auto"]["ratio"] / other["ratio"], f"{who} on {name}")
        for name, row in rows
        for who, other in row.items()
        if who in ("transformers SLEM", "transformers TLI")
    ]
    plans = [found["plan"] for found in cells.values() if found["plan"]["predicted"]]
    errors = [abs(error) for plan in plans for error in plan["errors"]]
    return {
        "auto beside the target alone, least": min((row["auto"]["ratio"], name) for name, row in rows),
        "auto beside transformers' lossless assisted generation, least": min(theirs, default=None),
        "auto beside the limit, least": min((row["auto"]["of_limit"], name) for name, row in rows),
        "outside the models, most, auto": max(
            (row["auto"]["share"]["bridge"] + row["auto"]["share"]["rest"], name) for name, row in rows
        ),
        "cells whose order was predicted": statistics.mean(plan["agreement"] == 1 for plan in plans)
        if plans
        else None,
        "pairs of methods whose order was predicted": statistics.mean(plan["agreement"] for plan in plans)
        if plans
        else None,
        "the method predicted best beside the one measured best, median": statistics.median(
            plan["of_best"] for plan in plans
        )
        if plans
        else None,
        "error of predicted speed-ups, median": statistics.median(errors) if errors else None,
    }
