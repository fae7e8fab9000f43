"""What ``anydraft bench`` prints: a table for each set of prompts, 80 columns wide, and the end in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from anydraft.bench.record import Cell

LEAST = 0.97
"""Slower than this beside the target alone is a failure of ``auto``."""


def show(out: Console, cell: Cell) -> None:
    """One table, a row for every contender, and what the planner had said."""
    if cell.found is None:
        out.print(f"{cell.title}: no prompt fits into the target's window", markup=False)
        return
    columns = ("", "speed", "95 %", "tok/pass", "accepted", "draft", "target", "rest")
    table = Table(
        title=cell.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
    )
    for name in columns:
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    for name, row in cell.found["contenders"].items():
        table.add_row(*_row(name, row), style="bold" if name == "auto" else None)
    out.print(table)
    for said in remarks(cell.found):
        out.print(said, markup=False)
    out.print()


def remarks(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table does not say."""
    for name, why in found["failed"].items():
        yield f"{name} failed: {why}"
    for name, count in found.get("parted", {}).items():
        yield f"{name}: {count} texts part from the target alone's at a near tie."
    plan = found["plan"]
    if "passes" in plan:
        yield plan["passes"]
    if plan["predicted"]:
        off = max(abs(error) for error in plan["errors"])
        yield (
            f"Foreseen from some seconds of measuring: {plan['recommends']}; speed-ups were foreseen to "
            f"{off:.0%} or better, {plan['agreement']:.0%} of the methods in their order."
        )


def sentences(summary: Mapping[str, Any]) -> Iterator[str]:
    """The figures over all tables, in words."""
    speed, where = summary["auto beside the target alone, least"]
    verdict = "keeps up with" if speed >= LEAST else "is slower than"
    yield f"auto {verdict} the target alone: at worst {speed:.2f} times its speed ({where})."
    theirs = summary["auto beside transformers' lossless assisted generation, least"]
    if theirs:
        yield (
            f"Beside transformers' assisted generation it is at worst {theirs[0]:.2f} times as fast "
            f"({theirs[1]})."
        )
    limit, where = summary["auto beside the limit, least"]
    yield f"It reaches at least {limit:.0%} of what the times of the passes allow ({where})."
    outside, where = summary["outside the models, most, auto"]
    yield f"At most {outside:.1%} of the time goes by outside both models ({where})."


def _row(name: str, row: Mapping[str, Any]) -> list[str]:
    low, high = row["interval"]
    if "total_variation" in row:
        name += f", total variation {row['total_variation']:.2f} (noise {row['noise_floor']:.2f})"
    found = [name, f"{row['ratio']:.2f}x", f"{low:.2f}-{high:.2f}", f"{row['tokens_per_pass']:.2f}"]
    if "share" not in row:
        return [*found, *[""] * 4]
    share = row["share"]
    rest = share["bridge"] + share["rest"]
    return [
        *found,
        f"{row['acceptance']:.0%}",
        *(f"{part:.0%}" for part in (share["draft"], share["target"], rest)),
    ]
