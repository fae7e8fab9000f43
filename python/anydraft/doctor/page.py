"""The report as one HTML page that needs no other file: for one draft, several, or every pair of a set."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from anydraft import __version__
from anydraft.doctor.examine import Finding
from anydraft.doctor.page_sections import key, percent, sections, table
from anydraft.doctor.report import Refusal, Report, Verdict


def ranking(target: str, findings: Sequence[Finding]) -> str:
    """A page on one target: its only draft, or a table of several, best first, each with its report."""
    if len(findings) == 1:
        (finding,) = findings
        return _page(f"{target} ← {_names(finding)[1]}", verdict(finding.verdict) + _body(finding))
    rows = [_row(finding) for finding in findings]
    titles = ("draft", "verdict", "reach", "target lost", "draft / target", "method when sampling")
    parts = [
        f"<section>{table(titles, rows, numbers=(2, 3, 4))}{_explained()}</section>",
        *(
            f"<details><summary><b>{escape(_names(finding)[1])}</b>: "
            f"{escape(finding.verdict.line)}</summary>{_body(finding)}</details>"
            for finding in findings
        ),
    ]
    return _page(f"Drafts for {target}", "".join(parts))


def matrix(names: Sequence[str], findings: Sequence[Finding]) -> str:
    """A page on every pair of a set: targets down, drafts across."""
    by_pair = {_names(finding): finding for finding in findings}
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{escape(target)}</th>{''.join(_cell(by_pair.get((target, draft))) for draft in names)}</tr>"
        for target in names
    )
    heat = f'<table class="heat"><tr><th>target ↓ draft →</th>{head}</tr>{rows}</table>'
    body = f'<section><div class="scroll">{heat}</div>{_explained()}</section>'
    return _page(f"{len(findings)} pairs of tokenizers", body)


def verdict(found: Verdict) -> str:
    """The one line."""
    level, colon, rest = found.line.partition(":")
    return f'<p class="verdict {found.level}"><b>{level}</b><span>{colon}{escape(rest)}</span></p>'


def _body(finding: Finding) -> str:
    return "" if isinstance(finding, Refusal) else "".join(sections(finding))


def _names(finding: Finding) -> tuple[str, str]:
    if isinstance(finding, Report):
        return finding.target.name, finding.draft.name
    return finding.target_name, finding.draft_name


def _reach(report: Report) -> float:
    method = report.verdict.sampling_method
    return report.total.reached(method) if method else 0.0


def _row(finding: Finding) -> list[str]:
    level = finding.verdict.level
    row = [escape(_names(finding)[1]), f'<b class="{level}">{level}</b>']
    if isinstance(finding, Refusal):
        return [*row, "–", "–", "–", "–"]
    total = finding.total
    return [
        *row,
        percent(_reach(finding)),
        percent(1 - total.target_share),
        f"{total.draft_per_target:.2f}",
        finding.verdict.sampling_method or "–",
    ]


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return "<td>·</td>"
    if isinstance(finding, Refusal) or finding.verdict.level == "impossible":
        return f'<td class="impossible" title="{escape(finding.verdict.line)}">no</td>'
    reach = _reach(finding)
    strength = 100 * max(0.0, min(1.0, (reach - 0.5) / 0.5))
    colour = f"color-mix(in oklab, var(--target-soft) {strength:.0f}%, transparent)"
    return (
        f'<td style="background: {colour}" title="{escape(finding.verdict.line)}">{percent(reach)}'
        f"<small>{percent(1 - finding.total.target_share)}</small></td>"
    )


def _explained() -> str:
    return key(
        "Reach (in a matrix above): how many of the target's tokens the draft's text leads to, by the method "
        "when sampling. Target lost (in a matrix below): how many of them the draft does not have as one "
        "token. Draft / target: draft tokens that write one of the target. All weighted by use."
    )


def _page(title: str, body: str) -> str:
    style = (files("anydraft.doctor") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{body}\n"
        f"<footer>anydraft {__version__}, from the tokenizers alone</footer></main></body></html>\n"
    )
