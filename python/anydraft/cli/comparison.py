"""The demo's table: speculative beside plain decoding of the same target, measured numbers only."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table

from anydraft.cli.plain import Plain
from anydraft.decoding.events import Output


def summary(output: Output, plain: Plain, *, method: str, sampled: bool) -> Group:
    """The table, and below it what it means."""
    said = [meaning(output, plain)]
    if sampled:
        said.append(
            "Two samples of one law need not be equal: the tests named lossless check the law itself."
        )
    return Group(table(output, plain, method=method, sampled=sampled), *said)


def table(output: Output, plain: Plain, *, method: str, sampled: bool) -> Table:
    """Both decodes side by side."""
    stats, count = output.stats, len(plain.token_ids)
    rows = Table("", "target alone", f"anydraft ({method})", header_style="bold", box=box.ROUNDED)
    for column in rows.columns[1:]:
        column.justify = "right"
    plain_bytes = stats.bytes / max(stats.tokens, 1)
    rows.add_row("same output", "", _same(output, plain, sampled=sampled))
    rows.add_row("tokens", str(count), str(stats.tokens))
    rows.add_row("target passes", str(count), str(stats.target_passes))
    rows.add_row("tokens per target pass", "1.00", f"{stats.block_efficiency:.2f}")
    rows.add_row(
        "bytes per target pass", "" if sampled else f"{plain_bytes:.1f}", f"{stats.bytes_per_pass:.1f}"
    )
    rows.add_row("proposed tokens accepted", "", f"{stats.acceptance_rate:.0%}")
    rows.add_row("tokens per second", f"{1 / plain.step:.1f}", f"{stats.tokens_per_second:.1f}")
    rows.add_row("speed", "1.00x", f"{ratio(output, plain):.2f}x")
    return rows


def ratio(output: Output, plain: Plain) -> float:
    """How many times faster than plain decoding; below 1 is slower."""
    return output.stats.tokens_per_second * plain.step


def meaning(output: Output, plain: Plain) -> str:
    """One line on where the speed comes from, or went."""
    stats = output.stats
    if not stats.draft_passes or not stats.target_passes:
        return "Nothing was drafted."
    cost = stats.draft_seconds / stats.draft_passes / plain.step
    check = stats.target_seconds / stats.target_passes / plain.step
    steps = stats.draft_passes / stats.target_passes
    total = steps * cost + check
    said = (
        f"In passes of the target alone (measured): a draft pass cost c = {cost:.2f}, a pass over a block "
        f"{check:.2f}; so a round cost {steps:.1f} x {cost:.2f} + {check:.2f} = {total:.2f} and gave "
        f"{stats.block_efficiency:.2f} tokens."
    )
    if ratio(output, plain) < 1:
        said += " A gain needs a draft several times cheaper than its target; this one is not."
    return said


def _same(output: Output, plain: Plain, *, sampled: bool) -> str:
    if sampled:
        return "same law"
    return "[bold green]yes[/]" if output.token_ids == plain.token_ids else "[bold red]no[/]"
