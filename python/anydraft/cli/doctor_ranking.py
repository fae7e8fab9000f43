"""Many pairs at a glance, for a terminal: drafts of one target in order, or every pair of a set."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from anydraft.cli.doctor_report import LEVEL_STYLES, percent, verdict_line
from anydraft.doctor import Finding, Refusal, Report

_REACH_STYLES = ((0.95, "bold green"), (0.85, "green"), (0.5, "yellow"), (0.0, "red"))


def print_ranking(out: Console, target: str, findings: Sequence[Finding]) -> None:
    """One row a draft, best first; below it why some are not usable."""
    table = Table(title=Text(f"Drafts for {target}", style="bold"), box=box.SIMPLE_HEAD, title_justify="left")
    for title in ("draft", "verdict", "reach", "target lost", "draft / target", "shared tokens", "methods"):
        table.add_column(title, justify="left" if title in {"draft", "verdict", "methods"} else "right")
    for finding in findings:
        level = finding.verdict.level
        row = [Text(draft_name(finding)), Text(level, style=LEVEL_STYLES[level])]
        table.add_row(*row, *(_figures(finding) if isinstance(finding, Report) else ["–"] * 5))
    out.print(table)
    for finding in findings:
        if finding.verdict.level != "usable":
            out.print(Text(f"{draft_name(finding)}: "), verdict_line(finding.verdict), sep="", soft_wrap=True)
    out.print(
        Text(
            "reach: how many of the target's tokens the draft's text leads to, by the method when sampling; "
            "target lost: how many of them the draft does not have as one token; draft / target: draft "
            "tokens that write one of the target. All weighted by use.",
            style="dim",
        )
    )


def print_matrix(out: Console, names: Sequence[str], findings: Sequence[Finding]) -> None:
    """A row for each target, a column for each draft: reach, and below it the target's tokens lost."""
    by_pair = {(target_name(finding), draft_name(finding)): finding for finding in findings}
    table = Table(box=box.SIMPLE_HEAD, show_lines=False)
    table.add_column("target ↓  draft →")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for target in names:
        row = [_cell(by_pair.get((target, draft))) for draft in names]
        table.add_row(Text(target, style="bold"), *row)
    out.print(table)
    out.print(
        Text(
            "above: how many of the target's tokens the draft's text leads to, by the method when sampling; "
            "below: how many of them the draft does not have as one token. Weighted by use.",
            style="dim",
        )
    )
    levels = [finding.verdict.level for finding in findings]
    counts = [(levels.count(level), level) for level in LEVEL_STYLES]
    line = Text(f"{len(findings)} pairs: ")
    line.append_text(
        Text(", ").join(Text(f"{n} {level}", style=LEVEL_STYLES[level]) for n, level in counts if n)
    )
    out.print(line)
    for reason in dict.fromkeys(f.verdict.line for f in findings if isinstance(f, Refusal)):
        out.print(Text(reason), soft_wrap=True)


def target_name(finding: Finding) -> str:
    """What the target is called."""
    return finding.target.name if isinstance(finding, Report) else finding.target_name


def draft_name(finding: Finding) -> str:
    """What the draft is called."""
    return finding.draft.name if isinstance(finding, Report) else finding.draft_name


def _figures(report: Report) -> list[str]:
    verdict, total = report.verdict, report.total
    methods = dict.fromkeys([verdict.greedy_method, verdict.sampling_method])
    return [
        percent(_reach(report)),
        percent(1 - total.target_share),
        f"{total.draft_per_target:.2f}",
        f"{report.overlap.shared:,}",
        ", ".join(name for name in methods if name) or "–",
    ]


def _reach(report: Report) -> float:
    method = report.verdict.sampling_method
    return report.total.reached(method) if method else 0.0


def _cell(finding: Finding | None) -> Text:
    if finding is None:
        return Text("·", style="dim")
    if isinstance(finding, Refusal) or finding.verdict.level == "impossible":
        return Text("no", style="bold red")
    reach = _reach(finding)
    style = next(style for least, style in _REACH_STYLES if reach >= least)
    return Text.assemble((percent(reach), style), "\n", (percent(1 - finding.total.target_share), "dim"))
