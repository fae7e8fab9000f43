"""What it costs to call logits processors position by position, as those with a state must be.

    python benches/python/processors.py [--threads 2] [--tokens 64] [--repeats 5]

SmolLM2 with the packaged draft, one processor of transformers (no bad words) that looks at the ids: called
for a whole block at once; the same as a class of its own, which is called in order; and the target alone,
with either. The ways take turns; printed are the medians, over all prompts, of the ratio of speeds within a
turn.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch
from rich.table import Table
from transformers import NoBadWordsLogitsProcessor

from anydraft import Speculator, drafts
from anydraft.bench.prompts import PROMPTS
from anydraft.cli.terminal import console
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.quiet import quiet

BANNED = [[11, 12], [9999]]


class Own(NoBadWordsLogitsProcessor):
    """Another class: nobody can know that it keeps no state."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with quiet():
        path = packaged("smollm2")
        target, tokenizer = load_model(path), load_tokenizer(path)
        draft, draft_tokenizer = drafts.load("tiny")
    pair = Speculator(target, draft, tokenizer, draft_tokenizer, num_draft_tokens=4)
    alone = Speculator(
        target, draft, tokenizer, draft_tokenizer, method="lookup", num_draft_tokens=1, memory="off"
    )
    table = Table("genre", "temperature", "in order / at once", "in order / target alone", "tokens a pass")
    for genre in ("prose", "code"):
        for temperature in (0.0, 0.7):
            found = [run(pair, alone, text, temperature, asked) for text in PROMPTS[genre][:2]]
            ratios = [ratio for each in found for ratio in each[0]]
            gains = [gain for each in found for gain in each[1]]
            passes = " and ".join(f"{statistics.mean(each[2][i] for each in found):.2f}" for i in (0, 1))
            table.add_row(
                genre,
                str(temperature),
                f"{statistics.median(ratios):.3f}",
                f"{statistics.median(gains):.2f}",
                f"{passes} (at once, in order)",
            )
    console().print(table)


def run(
    pair: Any, alone: Any, text: str, temperature: float, asked: Any
) -> tuple[list[float], list[float], Any]:
    """Ratios of speeds of every turn, and the tokens a pass of either way."""
    ratios, gains, passes = [], [], [0.0, 0.0]
    for turn in range(asked.repeats + 1):
        speeds, said = [], []
        for decoder, kind in ((pair, NoBadWordsLogitsProcessor), (pair, Own), (alone, Own)):
            out = decoder.generate(
                text,
                max_new_tokens=asked.tokens,
                temperature=temperature,
                seed=turn,
                logits_processor=[kind(BANNED, eos_token_id=2)],
            )
            speeds.append(out.stats.tokens_per_second)
            said.append(out.token_ids)
            if decoder is pair:
                passes[kind is Own] += out.stats.block_efficiency / (asked.repeats + 1)
        if temperature == 0 and any(ids != said[0] for ids in said):
            raise SystemExit("the outputs differ, so there is nothing to compare")
        if turn:
            ratios.append(speeds[1] / speeds[0])
            gains.append(speeds[1] / speeds[2])
    return ratios, gains, passes


if __name__ == "__main__":
    main()
