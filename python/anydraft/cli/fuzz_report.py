"""What ``anydraft fuzz`` prints: a table of laws, and below it every failure in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from anydraft.testing import Verdict

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "dim"}
_MARKED = {"expected  ": "green", "got       ": "red", "differs   ": "bold"}


@dataclass(frozen=True)
class Result:
    """A law, asked of one tokenizer or of two."""

    name: str
    """Of the tokenizer or the pair."""
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"tokenizer": self.name, **self.verdict.as_dict()}


def write_report(out: Console, results: list[Result], seed: int) -> None:
    """All tables, all failures, and one line that sums it up."""
    for name, group in groupby(results, lambda result: result.name):
        out.print(_table(name, [result.verdict for result in group]))
    for result in results:
        if result.verdict.violation is not None:
            out.print(_explained(str(result.verdict.violation)), soft_wrap=True, end="")
    counts = {kind: sum(result.verdict.outcome == kind for result in results) for kind in _STYLES}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    out.print(Text(f"\n{said}; seed {seed}", style=_STYLES["failed" if counts["failed"] else "passed"]))


def _table(name: str, verdicts: list[Verdict]) -> Table:
    table = Table(title=Text(name, style="bold"), title_justify="left", box=box.ROUNDED, header_style="bold")
    table.add_column("law", no_wrap=True)
    table.add_column("what holds")
    table.add_column("", no_wrap=True)
    table.add_column("examples", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for verdict in verdicts:
        what = verdict.statement if verdict.reason is None else verdict.reason
        table.add_row(
            verdict.law,
            Text(what, style="dim" if verdict.reason else ""),
            Text(verdict.outcome, style=_STYLES[verdict.outcome]),
            str(verdict.examples),
            f"{verdict.seconds:.1f}",
        )
    return table


def _explained(message: str) -> Text:
    first, *rest = message.splitlines()
    text = Text(f"\n{first}\n", style="bold red")
    for line in rest:
        style = next((style for mark, style in _MARKED.items() if line.startswith(mark)), "not bold default")
        text.append(f"  {line}\n", style=style)
    return text
