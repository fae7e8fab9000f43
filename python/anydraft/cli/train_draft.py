"""``anydraft train-draft``: a small draft with a vocabulary of its own, for one target."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from anydraft.cli import options
from anydraft.cli.loading import load_one, side
from anydraft.cli.terminal import clean_endings, console, error_console
from anydraft.loading.paths import A_CORPUS, existing
from anydraft.training.folder import TrainingFolder, require_room

if TYPE_CHECKING:
    from anydraft.training.measure import Measured
    from anydraft.training.record import Point
    from anydraft.training.wanted import Watcher

EPILOG = """
**Examples**

    anydraft train-draft --target big-model/ --minutes 120 --out my-draft

    anydraft train-draft --target big-model/ --corpus my-code/ --corpus notes.txt --size small --out my-draft

    anydraft train-draft --target big-model/ --out my-draft --resume
"""


_EVERY = 60.0
"""Seconds between two lines where there is no terminal for a bar."""


def train_draft(
    *,
    target: Annotated[Path, typer.Option(help="The model to draft for: a folder, a GGUF file or org/name.")],
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="Text like yours: files, folders or archives. May be given several times."),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Another target to help; it writes for a quarter of the time."),
    ] = None,
    size: Annotated[
        Literal["tiny", "small"], typer.Option(help="tiny: 6 million weights; small: 25.")
    ] = "tiny",
    minutes: Annotated[
        float, typer.Option(min=0.1, help="For everything: half to draw text from the target, half to train.")
    ] = 60.0,
    out: Annotated[Path, typer.Option(help="The folder of the new draft.")] = Path("draft"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a folder that was begun.")] = False,
    texts: Annotated[
        int | None, typer.Option(min=1, help="How many texts are written, whatever the minutes.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, whatever the minutes.")] = None,
    parallel: Annotated[
        int,
        typer.Option(
            min=1,
            max=8,
            help="Tokens that the draft proposes from one pass, if passes are expensive; 1: one by one.",
        ),
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of prompts, samples and weights.")] = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Train a small draft for TARGET, on text that the target itself writes, and on yours.

    OUT becomes an ordinary model folder. While it trains, what the draft is worth is measured on prompts that
    are in no training text: how much of it the target accepts, and how much sooner the text would be there.
    """
    with clean_endings():
        require_room(out, resume=resume)
        speaking = side(target)
        for path in corpus or []:
            existing(path, A_CORPUS)
        beside = [side(path) for path in also or []]
        from anydraft.training.writers import check_others

        check_others(len(beside))
        from anydraft.training import corpus as files

        own = files.read(corpus or [])
        big, *others = (
            load_one(one, dtype=None, device=device, threads=threads) for one in (speaking, *beside)
        )
        from anydraft.training.draft import train_draft
        from anydraft.training.wanted import Other, Wanted

        where, begun = error_console(), TrainingFolder(out / "training").begun
        known = begun["steps"] if begun else None
        for said in phases(minutes, texts=texts, steps=steps, size=size, begun=known):
            where.print(said, soft_wrap=True)
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn()
        with Progress(*columns, console=where, disable=not where.is_terminal) as bars:
            record = train_draft(
                big.model,
                big.tokenizer,
                own,
                out,
                Wanted(size=size, seed=seed, minutes=minutes, texts=texts, steps=steps, parallel=parallel),
                name=big.name,
                sources=[path.name for path in corpus or []],
                others=[Other(o.model, o.tokenizer, o.name) for o in others],
                watcher=_shown(bars, where),
            )
        if record.measured[big.name]:
            console().print(table(record.measured[big.name]))
        console().print(f"The draft is in {out}, its curve and record in {out / 'training'}.", soft_wrap=True)


_LEAST_MINUTES = {"tiny": 20.0, "small": 60.0}
"""With less, a draft of this size has learnt little: docs/drafts.md has the curves."""


def phases(
    minutes: float,
    *,
    texts: int | None,
    steps: int | None,
    size: Literal["tiny", "small"],
    begun: int | None = None,
) -> list[str]:
    """What will be done for how long, and a warning if that is too short to help.

    ``begun``: the steps of a training that is gone on with.
    """
    if begun is not None and steps is not None:
        return [f"Goes on to {steps} steps; it was begun with {begun}."]
    if begun is not None:
        return [f"Goes on to the {begun} steps it was begun with; --steps with more lengthens the training."]
    writes = f"writes {texts} texts" if texts else f"writes texts for {minutes / 2:.1f} minutes"
    learns = f"learns in {steps} steps" if steps else f"learns for {0.4 * minutes:.1f} minutes"
    said = [f"The target {writes}, then the draft {learns}; the rest is for measuring what it is worth."]
    if texts is None and steps is None and minutes < _LEAST_MINUTES[size]:
        said.append(
            f"{minutes:g} minutes are hardly enough for a {size} draft to help: expect something from "
            f"{_LEAST_MINUTES[size]:g} minutes on."
        )
    return said


def table(measured: Sequence[Measured]) -> Table:
    """What a draft is worth."""
    rows = Table("prompts", "temperature", "method", header_style="bold")
    for title in ("first accepted", "tokens per pass", "draft step", "predicted speed"):
        rows.add_column(title, justify="right")
    for m in measured:
        rows.add_row(
            m.kind,
            f"{m.temperature:g}",
            f"{m.method}, {m.length}",
            f"{m.acceptance:.0%}",
            f"{m.tokens_per_pass:.2f}",
            f"{m.step:.1%}",
            f"{m.speedup:.2f}x",
        )
    return rows


def _shown(bars: Progress, out: Console) -> Watcher:
    from anydraft.training.wanted import Watcher

    tasks: dict[str, TaskID] = {}
    last, said = "", time.monotonic()

    class Shown(Watcher):
        def stage(self, name: str, done: float, told: str = "") -> None:
            nonlocal last, said
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=1.0)
            if name != last and last:
                bars.update(tasks[last], completed=1.0)
            last = name
            if not out.is_terminal and told and name != "training" and time.monotonic() - said > _EVERY:
                said = time.monotonic()
                out.print(f"{name}: {told}", soft_wrap=True)
            bars.update(tasks[name], completed=done, description=f"{name}: {told}" if told else name)

        def point(self, point: Point) -> None:
            if not out.is_terminal:
                held = point.held_out
                out.print(
                    f"step {point.step}: loss {point.loss:.3f}, held out {held.loss:.3f}; accepted "
                    f"{held.sampled:.1%} at temperature 1, {held.greedy:.1%} greedy",
                    soft_wrap=True,
                )

        def measured(self, step: int, measured: Sequence[Measured]) -> None:
            found = "; ".join(
                f"{m.kind} at {m.temperature:g}: {m.acceptance:.0%} accepted, {m.speedup:.2f}x"
                for m in measured
            )
            out.print(f"after {step} steps, predicted: {found}", soft_wrap=True)

        def unmeasured(self, step: int, reason: str) -> None:
            out.print(f"after {step} steps, not measured: {reason}", soft_wrap=True)

    return Shown()
