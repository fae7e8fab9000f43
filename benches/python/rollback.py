"""What it costs to take rejected tokens back from a model that keeps states, as a share of its pass.

    python benches/python/rollback.py [--rounds 30] [--threads 2] [--json FILE]

Two targets of random weights: one with recurrent states (Qwen3.5: copied, and accepted tokens read again) and
one whose states are the last inputs of convolutions (LFM2: recorded). Rounds of ``k``
candidates, of which half are accepted, take turns with passes over as many tokens of which nothing is taken
back; printed is what a round takes beyond such a pass, as a share of it, and how much of that the copy is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from rich.table import Table

from anydraft.cli.terminal import console
from anydraft.loading.quiet import quiet
from anydraft.models.fast.runner import FastPasses
from anydraft.models.rollback import Replay
from anydraft.models.transformers import TransformersModel

SIZES = (2, 3, 4, 5, 6, 7, 8)
PERIOD = ("linear_attention", "linear_attention", "linear_attention", "full_attention")


def qwen() -> Any:
    """The shapes of Qwen3.5-0.8B."""
    config = transformers.Qwen3_5TextConfig(
        vocab_size=32000,
        hidden_size=1024,
        intermediate_size=3584,
        num_hidden_layers=24,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=256,
        linear_num_key_heads=16,
        linear_num_value_heads=16,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        layer_types=list(PERIOD) * 6,
    )
    return transformers.Qwen3_5ForCausalLM(config)


def lfm() -> Any:
    """The shapes of LFM2-350M."""
    config = transformers.Lfm2Config(
        vocab_size=65536,
        hidden_size=1024,
        intermediate_size=6656,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=8,
        layer_types=["conv" if i not in (2, 5, 8, 10, 12, 14) else "full_attention" for i in range(16)],
    )
    return transformers.Lfm2ForCausalLM(config)


class Rounds:
    """A target whose rounds are timed; ``takes_back``: half of the candidates are rejected in each."""

    def __init__(self, model: Any, context: int, *, takes_back: bool) -> None:
        self.model = TransformersModel(model, FastPasses("auto"))
        self.takes_back = takes_back
        self.copying = 0.0
        self.held = context
        self.model.settle(context)
        self.model.advance(torch.arange(100, 100 + context))
        replay: Any = self.model._held._rollback
        if isinstance(replay, Replay):
            save = replay.save

            def timed(cache: Any, length: int) -> None:
                began = time.perf_counter()
                save(cache, length)
                self.copying += time.perf_counter() - began

            replay.save = timed  # type: ignore[method-assign]
            if not takes_back:
                replay.save = lambda *_: None  # type: ignore[method-assign]

    def round(self, k: int) -> float:
        """Seconds of one."""
        self.copying = 0.0
        began = time.perf_counter()
        if self.takes_back:
            self.model.settle(self.held + 1)
            n = self.held + 1 - self.model.length + k
            self.model.advance(torch.arange(200, 200 + n), k + 1)
            self.model.crop(self.held + 1 + k // 2)
            self.held += 1 + k // 2
        else:
            self.model.settle(self.model.length + k + 1)
            self.model.advance(torch.arange(200, 201 + k), k + 1)
        return time.perf_counter() - began


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--context", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write all figures here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out, record = console(), {}
    table = Table(title="a round beyond a pass over as many tokens, in % of that pass")
    for column in ("", *(f"k={k}" for k in SIZES)):
        table.add_column(column, justify="right" if column else "left")
    for name, make in (("recurrent states, replay", qwen), ("convolutions, recording", lfm)):
        torch.manual_seed(0)
        model = make().eval()
        rows: dict[str, list[float]] = {"pass ms": [], "beyond": [], "error": [], "of that the copy": []}
        for k in SIZES:
            back, plain = (Rounds(model, options.context, takes_back=way) for way in (True, False))
            times = [(back.round(k), back.copying, plain.round(k)) for _ in range(options.rounds + 2)][2:]
            one = statistics.median(time for _, _, time in times)
            beyond = [(back - plain) / one for back, _, plain in times]
            rows["pass ms"].append(1e3 * one)
            rows["beyond"].append(100 * statistics.mean(beyond))
            rows["error"].append(100 * statistics.stdev(beyond) / len(beyond) ** 0.5)
            rows["of that the copy"].append(100 * statistics.mean(copy for _, copy, _ in times) / one)
        record[name] = rows
        table.add_row(
            name, *(f"{a:.0f} ±{b:.0f}" for a, b in zip(rows["beyond"], rows["error"], strict=True))
        )
        table.add_row("  of that the copy", *(f"{share:.1f}" for share in rows["of that the copy"]))
        table.add_row("  the pass, ms", *(f"{ms:.0f}" for ms in rows["pass ms"]))
    out.print(table)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with quiet():
        main()
