"""``anydraft shrink``: a draft whose output head has fewer rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from anydraft.cli import options
from anydraft.cli.loading import Loaded, load_one, side
from anydraft.cli.terminal import clean_endings, console
from anydraft.cli.waiting import waiting
from anydraft.errors import ArgumentError
from anydraft.loading.paths import A_CORPUS, existing, expanded
from anydraft.training.folder import require_new

if TYPE_CHECKING:
    from torch.nn import Module

EPILOG = """
**Examples**

    anydraft shrink --draft small-model/ --keep 16k --usage my-code/ --out smaller

    anydraft shrink --draft small-model/ --keep 8k --usage notes.txt --target big-model/ --out smaller
"""

_MODEL = "A folder, a GGUF file or org/name."


def shrink(
    *,
    draft: Annotated[Path, typer.Option(help=f"The draft. {_MODEL}")],
    keep: Annotated[str, typer.Option(help="How many tokens it can still propose: 16384, or 16k.")],
    usage: Annotated[
        list[Path], typer.Option(help="Texts that tell which: files, folders or archives. May be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="The folder of the copy.")] = Path("shrunken"),
    target: Annotated[
        Path | None, typer.Option(help=f"Measure the loss in acceptance for this target. {_MODEL}")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Copy DRAFT with a head of its most used tokens: quicker, and it proposes a little less.

    The output of any target stays exact. What it costs and brings is measured: how much of the texts
    the kept tokens make up, the time of a pass, and, with --target, what is accepted.
    """
    with clean_endings():
        count = _count(keep)
        drafting, speaking = side(draft), None if target is None else side(target)
        usage, out = [existing(path, A_CORPUS) for path in usage], expanded(out)
        require_new(out)
        small = load_one(drafting, dtype="float32", device=device, threads=threads)
        if not hasattr(small.tokenizer, "save_pretrained"):
            raise ArgumentError(
                f"got {draft}, whose tokenizer ({type(small.tokenizer).__name__}) cannot be saved beside the "
                "copy; expected one with a fast form. Give a folder with a tokenizer.json"
            )
        from anydraft.training import corpus
        from anydraft.training.shrink import kept_rows, shrunken

        texts = corpus.read(usage)
        with waiting("counting tokens"):
            kept = kept_rows(small.tokenizer, texts, count, small.model.generation_config)
        made = shrunken(small.model, kept.rows)
        made.save_pretrained(out)
        small.tokenizer.save_pretrained(out)
        rows = Table("", "whole head", "shrunken", header_style="bold")
        width = small.model.get_output_embeddings().weight.shape[0]
        rows.add_row("tokens it can propose", str(width), str(len(kept.rows)))
        rows.add_row("share of the texts' tokens", "100.0%", f"{kept.usage:.1%}")
        if speaking is None:
            before, after = _steps(small.model, made)
            rows.add_row("a pass", f"{1e3 * before:.2f} ms", f"{1e3 * after:.2f} ms ({after / before:.2f}x)")
        else:
            big = load_one(speaking, dtype=None, device=device, threads=threads)
            with waiting("measuring both with the target"):
                found = _accepted(big, small, made, texts)
            rows.add_row("a pass of the target's", *(f"{m.step:.1%}" for m in found))
            for name, at in (("greedy", 0), ("temperature 0.7", 1)):
                rows.add_row(f"first accepted, {name}", *(f"{m.acceptance[at]:.1%}" for m in found))
                rows.add_row(f"predicted speed, {name}", *(f"{m.speedup[at]:.2f}x" for m in found))
        console().print(rows)
        console().print(f"The copy is in {out}.", soft_wrap=True)


@dataclass(frozen=True)
class _Found:
    step: float
    acceptance: list[float]
    speedup: list[float]


def _accepted(big: Loaded, small: Loaded, made: Module, texts: list[str]) -> list[_Found]:
    """Of both drafts, on beginnings of the texts."""
    from anydraft.planner import measure
    from anydraft.speculator import Speculator
    from anydraft.training import corpus
    from anydraft.training.measure import best_of

    prompts = corpus.prefixes(texts, 4, 0) or [text[:200] for text in texts[:4]]
    found = []
    heads: tuple[tuple[Module, Literal["full", "auto"]], ...] = (small.model, "full"), (made, "auto")
    for model, head in heads:
        pair = Speculator(big.model, model, big.tokenizer, small.tokenizer, draft_head=head)
        plans = [
            measure(pair, temperature, prompts, [method], 40)
            for temperature, method in ((0.0, "slem"), (0.7, "slrs"))
        ]
        found.append(
            _Found(
                min(plan.step / plan.verify[1] for plan in plans),
                [plan.reach[best_of(plan).method].first for plan in plans],
                [best_of(plan).speedup for plan in plans],
            )
        )
    return found


def _steps(whole: Module, made: Module) -> tuple[float, float]:
    """Median seconds of a pass over one token, with the whole head and with the rows kept, in turn."""
    import statistics
    import time

    import torch

    from anydraft.models.fast.runner import FastPasses
    from anydraft.models.fast.trimmed_head import TrimmedModel, kept_rows, trimmed_head
    from anydraft.models.transformers import TransformersModel

    head = trimmed_head(whole, torch.tensor(kept_rows(made)))
    if head is None:
        raise ArgumentError(f"got {type(whole).__name__}, whose output head cannot be cut")
    models = TransformersModel(whole, FastPasses()), TrimmedModel(whole, head, FastPasses())
    spent: list[list[float]] = [[], []]
    for turn in range(22):
        for model, times in zip(models, spent, strict=True):
            ids = torch.zeros(1, dtype=torch.int64, device=model.device)
            began = time.perf_counter()
            model.advance(ids)[0, 0].item()
            if turn > 1:
                times.append(time.perf_counter() - began)
    return statistics.median(spent[0]), statistics.median(spent[1])


def _count(text: str) -> int:
    digits, thousands = text.lower().removesuffix("k"), text.lower().endswith("k")
    if not digits.isdigit() or int(digits) == 0:
        raise ArgumentError(f"got --keep {text}; expected a number of tokens such as 16384 or 16k")
    return int(digits) * (1024 if thousands else 1)
