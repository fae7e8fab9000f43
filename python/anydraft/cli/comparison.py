"""The demo's table: transformers' ``generate``, our loop without a draft, and with it; all measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from anydraft.cli.counts import added
from anydraft.decoding.stats import Stats

_BUSY = 0.15
"""Two halves that differ by more than this were disturbed by something else."""


@dataclass(frozen=True)
class Decode:
    """One decode by one of the three."""

    token_ids: list[int]
    seconds: float
    stats: Stats | None = None
    """``None``: transformers' own, one token a pass."""

    @property
    def step(self) -> float:
        """Seconds for one token."""
        return self.seconds / max(len(self.token_ids), 1)


@dataclass(frozen=True)
class Three:
    """What each of the three took, in two halves of one run that were interleaved."""

    plain: Sequence[Decode]
    """transformers' ``generate``."""
    alone: Sequence[Decode]
    """Our loop without a draft."""
    drafted: Sequence[Decode]

    @property
    def stats(self) -> Stats:
        """Of all decodes with the draft together."""
        total = Stats()
        for decode in self.drafted:
            total = added(total, decode.stats or Stats())
        return total


def summary(three: Three, *, method: str, sampled: bool) -> Group:
    """The table, and below it what it means."""
    said = [where_from(three.stats), gain(three), *round_costs(three), *noise(three)]
    if sampled:
        said.append("Samples of one law need not be equal: the tests named lossless check the law itself.")
    return Group(table(three, method=method, sampled=sampled), *map(Text, said))


def table(three: Three, *, method: str, sampled: bool) -> Table:
    """Three columns."""
    rows = Table(
        "", "generate", "our loop alone", f"with draft ({method})", header_style="bold", box=box.ROUNDED
    )
    for column in rows.columns[1:]:
        column.justify = "right"
    sides = three.plain, three.alone, three.drafted
    base = _step(three.plain)
    counts = [sum(len(decode.token_ids) for decode in side) for side in sides]
    stats = three.stats
    rows.add_row("same output", "", *(_same(side, three.plain, sampled=sampled) for side in sides[1:]))
    rows.add_row("tokens", *map(str, counts))
    rows.add_row("target passes", str(counts[0]), str(_passes(three.alone)), str(stats.target_passes))
    rows.add_row("tokens per target pass", "1.00", "1.00", f"{stats.block_efficiency:.2f}")
    rows.add_row("tokens per second", *(f"{1 / _step(side):.1f}" for side in sides))
    rows.add_row("speed", *(f"{base / _step(side):.2f}x" for side in sides), style="bold")
    rows.add_row("first half, second half", "", *(_halves(side, three.plain) for side in sides[1:]))
    return rows


def where_from(stats: Stats) -> str:
    """How many tokens came from where."""
    parts = [
        (stats.accepted - stats.looked_up, "drafted and accepted"),
        (stats.looked_up, "found in the text before (no draft pass)"),
        (stats.recovered, "drawn by the target in place of a rejected one"),
        (stats.bonus, "the target's own"),
    ]
    told = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"Of {stats.tokens} tokens: {told}."


def gain(three: Three) -> str:
    """What the loop brings by itself, and what the draft brings on top."""
    lean, drafted = _step(three.plain) / _step(three.alone), _step(three.alone) / _step(three.drafted)
    said = f"Our passes alone: {lean:.2f}x; drafting on top of them: {drafted:.2f}x."
    if not three.stats.proposed:
        return f"{said} Nothing was drafted: auto found no length that pays."
    if drafted < 1:
        return f"{said} The draft cost more than it brought here."
    return said


def round_costs(three: Three) -> list[str]:
    """What a round cost and gave, in passes of the target alone; nothing where no draft model ran."""
    stats, step = three.stats, _step(three.alone)
    if not stats.draft_passes or not stats.target_passes:
        return []
    cost = stats.draft_seconds / stats.draft_passes / step
    check = stats.target_seconds / stats.target_passes / step
    steps = stats.draft_passes / stats.target_passes
    return [
        f"A round took {steps:.1f} draft passes of {cost:.2f} and a target pass of {check:.2f}, counted in "
        f"passes of our loop alone: {steps * cost + check:.2f} for {stats.block_efficiency:.2f} tokens."
    ]


def noise(three: Three) -> list[str]:
    """A warning if the two halves of the run do not agree."""
    off = max(_spread(side) for side in (three.plain, three.alone, three.drafted))
    if off <= _BUSY:
        return []
    return [
        f"The two halves of this run differ by {off:.0%}: something else kept the machine busy. "
        "--max-new-tokens 300 makes it longer."
    ]


def _step(side: Sequence[Decode]) -> float:
    tokens = sum(len(decode.token_ids) for decode in side)
    return max(sum(decode.seconds for decode in side), 1e-9) / max(tokens, 1)


def _passes(side: Sequence[Decode]) -> int:
    return sum(decode.stats.target_passes for decode in side if decode.stats is not None)


def _spread(side: Sequence[Decode]) -> float:
    steps = [decode.step for decode in side if decode.token_ids]
    return max(steps) / max(min(steps), 1e-9) - 1 if steps else 0.0


def _halves(side: Sequence[Decode], plain: Sequence[Decode]) -> str:
    pairs = zip(side, plain, strict=True)
    return ", ".join(f"{other.step / max(one.step, 1e-9):.2f}x" for one, other in pairs)


def _same(side: Sequence[Decode], plain: Sequence[Decode], *, sampled: bool) -> str:
    if sampled:
        return "same law"
    equal = all(one.token_ids == other.token_ids for one, other in zip(side, plain, strict=True))
    return "[bold green]yes[/]" if equal else "[bold red]no[/]"
