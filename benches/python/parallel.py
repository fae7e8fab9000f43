"""One draft that looks ahead, beside the same draft token by token: what is accepted, and what a round takes.

    python benches/python/parallel.py --draft FOLDER [--target smollm2] [--json FILE]

FOLDER: what ``anydraft train-draft --parallel K`` has made. Blocks of several lengths, and ``"auto"``; both
ways take turns on every prompt. Times are medians over prompts, ratios those of neighbours in time.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
from pathlib import Path
from typing import Any

import torch

import anydraft
from anydraft import load_model, load_tokenizer
from anydraft.loading.names import model_named
from anydraft.models.base import MASKS
from anydraft.models.loaded import masks_of
from anydraft.training.tasks import held_out_tasks

LENGTHS: list[Any] = [2, 4, 8, "auto"]


def pairs(target: Any, draft: Any, length: Any) -> dict[str, anydraft.Speculator]:
    """Both ways, with the same weights."""
    plain = copy.deepcopy(draft[0], {id(tensor): tensor for tensor in draft[0].parameters()})
    setattr(plain.config, MASKS, None)
    ways = {"parallel": draft[0], "one by one": plain}
    options = {"num_draft_tokens": length, "memory": "off"}
    return {
        name: anydraft.Speculator(target[0], model, target[1], draft[1], method="auto", **options)
        for name, model in ways.items()
    }


def cell(made: dict[str, anydraft.Speculator], prompts: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """What both ways do on some prompts, by turns."""
    told: dict[str, list[Any]] = {name: [] for name in made}
    said: dict[str, Any] = {}
    for turn, prompt in enumerate(prompts):
        order = list(made) if turn % 2 else list(made)[::-1]
        for name in order:
            torch.manual_seed(turn)
            said[name] = made[name].generate(prompt, **given)
            told[name].append(said[name].stats)
        if "temperature" not in given and len({tuple(out.token_ids) for out in said.values()}) > 1:
            raise SystemExit(f"got two texts after {prompt!r}; expected one: nothing was compared")
    found: dict[str, Any] = {}
    for name, stats in told.items():
        passes = sum(s.target_passes for s in stats)
        found[name] = {
            "tokens a pass": sum(s.tokens for s in stats) / passes,
            "draft passes a round": sum(s.draft_passes for s in stats) / passes,
            "draft ms a round": 1e3 * statistics.median(s.draft_seconds / s.target_passes for s in stats),
            "ms a round": 1e3 * statistics.median(s.seconds / s.target_passes for s in stats),
            "tokens a second": statistics.median(s.tokens / s.seconds for s in stats),
        }
    ratios = [
        (a.tokens / a.seconds) / (b.tokens / b.seconds)
        for a, b in zip(told["parallel"], told["one by one"], strict=True)
    ]
    logs = [math.log(ratio) for ratio in ratios]
    error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    return {**found, "speed": math.exp(statistics.fmean(logs)), "error": error, "prompts": len(prompts)}


def main() -> None:
    """Print the table, and write it down."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    asked.add_argument("--draft", required=True, type=Path)
    asked.add_argument("--target", default="smollm2")
    asked.add_argument("--prompts", type=int, default=6)
    asked.add_argument("--tokens", type=int, default=64)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--lengths", nargs="+", default=LENGTHS, type=lambda n: n if n == "auto" else int(n))
    asked.add_argument("--json", type=Path)
    wanted = asked.parse_args()
    torch.set_num_threads(wanted.threads)
    where = model_named(wanted.target)
    target = load_model(where), load_tokenizer(where)
    draft = load_model(wanted.draft), load_tokenizer(wanted.draft)
    print(f"{1 + len(masks_of(draft[0]))} tokens from a pass", flush=True)
    rows = []
    for temperature in (0.0, 0.7):
        given: dict[str, Any] = {"max_new_tokens": wanted.tokens}
        given |= {"temperature": temperature} if temperature else {}
        for length in wanted.lengths:
            made = pairs(target, draft, length)
            for kind in ("code", "prose"):
                texts = [task.text for task in held_out_tasks(4 * wanted.prompts, 5, kind) if not task.chat]
                texts = texts[: wanted.prompts]
                cell(made, texts[:1], given)  # what is learnt and made at first
                rows.append({"temperature": temperature, "length": length, "prompts of": kind})
                rows[-1] |= cell(made, texts, given)
                show(rows[-1])
    if wanted.json:
        wanted.json.write_text(json.dumps(rows, indent=1) + "\n")


def show(row: dict[str, Any]) -> None:
    """One line."""
    both = row["parallel"], row["one by one"]
    columns = " ".join(
        f"{name}: {both[0][name]:.2f} | {both[1][name]:.2f};" for name in both[0] if name != "tokens a second"
    )
    head = f"T={row['temperature']:g} {row['prompts of']:5} {row['length']!s:>4}"
    print(f"{head}  {columns} speed x{row['speed']:.3f} +-{row['error']:.3f}", flush=True)


if __name__ == "__main__":
    main()
