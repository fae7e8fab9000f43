"""The packaged draft beside plain decoding: SmolLM2-135M-Instruct by transformers' generate, and with `tiny`.

    python benches/python/drafts.py [--prompts 4] [--tokens 96] [--threads 2] [--json FILE]

Prompts are about subjects that are in no training prompt. The two take turns on every prompt and swap
places; printed are the median and the quartiles of the ratios of neighbours, tokens per pass of the target,
and what a draft pass takes beside a pass of the target over one token. Greedy outputs that
differ end the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from anydraft import Speculator, drafts
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.quiet import quiet
from anydraft.training.samples import prompt_ids
from anydraft.training.tasks import held_out_tasks

TEMPERATURES = (0.0, 0.7)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=4, help="of code and of prose; half of them are chats")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    path = packaged("smollm2")
    target, tokenizer = load_model(path), load_tokenizer(path)
    draft, draft_tokenizer = drafts.load("tiny")
    pair = Speculator(target, draft, tokenizer, draft_tokenizer, memory="off")
    found: dict[str, Any] = {"step": step_share(pair), "threads": given.threads}
    print(f"a draft pass takes {found['step']:.1%} of a pass of the target over one token")
    for kind in ("code", "prose"):
        for temperature in TEMPERATURES:
            prompts = [prompt_ids(tokenizer, task) for task in held_out_tasks(given.prompts + 1, 5, kind)]  # type: ignore[arg-type]
            both(target, pair, prompts.pop(), 32, temperature, seed=0)  # warms up
            rows = [
                both(target, pair, ids, given.tokens, temperature, seed=i) for i, ids in enumerate(prompts)
            ]
            ratios = [row["speedup"] for row in rows]
            low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
            middle = statistics.median(ratios)
            per_pass = sum(row["tokens"] for row in rows) / sum(row["passes"] for row in rows)
            found[f"{kind} {temperature:g}"] = {
                "median": middle,
                "quartiles": [low, high],
                "per pass": per_pass,
                "rows": rows,
            }
            print(
                f"{kind:5} at {temperature:g}: {middle:.2f}x ({low:.2f} to {high:.2f}), "
                f"{per_pass:.2f} tokens per pass",
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def both(
    target: Any, pair: Speculator, ids: list[int], tokens: int, temperature: float, seed: int
) -> dict[str, float]:
    """One prompt by both, in an order that changes with the seed."""
    spent: dict[str, tuple[float, list[int], int]] = {}
    for name in ("plain", "drafted")[:: 1 if seed % 2 else -1]:
        began = time.perf_counter()
        if name == "plain":
            said, passes = plain(target, ids, tokens, temperature, seed), 0
        else:
            output = pair.generate(input_ids=ids, max_new_tokens=tokens, temperature=temperature, seed=seed)
            said, passes = output.token_ids, output.stats.target_passes
        spent[name] = (time.perf_counter() - began, said, passes)
    (alone, one, _), (drafted, other, passes) = spent["plain"], spent["drafted"]
    if temperature == 0 and one != other:
        raise SystemExit("greedy outputs differ: nothing to time")
    return {
        "speedup": (len(other) / drafted) / (len(one) / alone),
        "tokens": len(other),
        "passes": max(passes, 1),
    }


def plain(target: Any, ids: list[int], tokens: int, temperature: float, seed: int) -> list[int]:
    """By transformers' own generate."""
    torch.manual_seed(seed)
    given = torch.tensor([ids])
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    with quiet():
        said = target.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=tokens,
            pad_token_id=0,
            **(sampling if temperature else {"do_sample": False}),
        )
    return said[0, len(ids) :].tolist()  # type: ignore[no-any-return]


def step_share(pair: Speculator) -> float:
    """Median of ratios of passes over one token, after 64: the mean of three of the draft, one of the target.

    So they take turns in a decode: the draft's first pass finds its weights out of the processor's cache.
    """
    target, draft = pair.engine.sequences()
    for model in (target, draft):
        model.advance(torch.arange(3, 67))
    ratios = []
    for _ in range(24):
        times = [seconds(draft) for _ in range(3)]
        ratios.append(statistics.mean(times) / seconds(target))
    return statistics.median(ratios)


def seconds(model: Any) -> float:
    """Of a pass over one token."""
    began = time.perf_counter()
    model.advance(torch.tensor([5]))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
