"""The doctor's report on a pair, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from anydraft.cli.doctor_prediction import section
from anydraft.doctor.reach import METHODS
from anydraft.doctor.report import (
    ALL,
    ControlPair,
    Level,
    LostToken,
    Report,
    Severity,
    Side,
    Verdict,
)

LEVEL_STYLES: dict[Level, str] = {"usable": "bold green", "poor": "bold yellow", "impossible": "bold red"}
_SEVERITY_STYLES: dict[Severity, str] = {"note": "dim", "warning": "yellow", "fatal": "bold red"}
_MOST_PAIRS = 6


def print_report(out: Console, report: Report) -> None:
    """All sections, the verdict last."""
    for title, body in sections(report):
        out.print(Text(title, style="bold cyan"))
        out.print(Padding(body, (0, 0, 1, 2), expand=False))
    out.print(verdict_line(report.verdict))


def verdict_line(verdict: Verdict) -> Text:
    """The one line, its level in colour."""
    level, colon, rest = verdict.line.partition(":")
    return Text.assemble((level, LEVEL_STYLES[verdict.level]), colon, rest)


def sections(report: Report) -> Iterator[tuple[str, RenderableType]]:
    """Titles and contents, in order. Text of a vocabulary is never read as markup."""
    yield f"{report.target.name} ← {report.draft.name}", _sides(report.target, report.draft)
    yield "Overlap by count", _overlap(report)
    yield "Overlap by use", _use(report)
    if report.lost:
        title = "Tokens in use that the target has and the draft lacks"
        yield title, _lost(report.lost, "target", "the draft writes")
    if report.foreign:
        title = "Tokens in use that the draft has and the target lacks"
        yield title, _lost(report.foreign, "draft", "the target writes")
    yield "Vocabulary strings", _strings(report)
    yield "Control tokens and chats", _control(report)
    if report.hazards:
        yield "Hazards", _hazards(report)
    if report.predicted:
        yield "Predicted speed, measured on this machine", section(report.predicted)
    memory = report.memory
    yield (
        "Memory",
        f"{_mib(memory.tables)} of tables (all methods but slem), {_mib(memory.classes)} more for slrs",
    )


def percent(share: float) -> str:
    """With one decimal; what is not quite everything is not shown as everything."""
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"


def _sides(target: Side, draft: Side) -> Table:
    table = _table("", "target", "draft")
    for title, ours, theirs in (
        ("ids", f"{target.ids:,}", f"{draft.ids:,}"),
        ("tokens of text", f"{target.text_tokens:,}", f"{draft.text_tokens:,}"),
        ("control tokens", f"{target.control_tokens:,}", f"{draft.control_tokens:,}"),
        ("kind", target.surface, draft.surface),
        ("rows of the model", _rows(target), _rows(draft)),
        ("window", _window(target), _window(draft)),
        ("rejected tokens are", target.rollback or "?", draft.rollback or "?"),
        ("weights", target.size or "?", draft.size or "?"),
    ):
        table.add_row(title, ours, theirs)
    return table


def _rows(side: Side) -> str:
    if side.rows is None:
        return "?"
    padding = side.rows - side.ids
    return f"{side.rows:,}" + (f" ({padding:,} padding)" if padding > 0 else "")


def _window(side: Side) -> str:
    sliding = f", layers of {side.sliding_window:,}" if side.sliding_window else ""
    return "?" if side.window is None else f"{side.window:,}{sliding}"


def _overlap(report: Report) -> str:
    found = report.overlap
    return (
        f"{found.target_shared:,} of the target's {found.target_tokens:,} tokens "
        f"({percent(found.target_shared / max(found.target_tokens, 1))}) are tokens of the draft,\n"
        f"{found.draft_shared:,} of the draft's {found.draft_tokens:,} "
        f"({percent(found.draft_shared / max(found.draft_tokens, 1))}) are tokens of the target."
    )


def _use(report: Report) -> Group:
    table = _table("text", "bytes", "target tokens", "draft has", "draft tokens", "target has")
    reach = _table("text", *METHODS)
    for use in report.texts:
        style = "bold" if use.name == ALL else ""
        reach.add_row(Text(use.name), *(percent(use.reached(name)) for name in METHODS), style=style)
        table.add_row(
            Text(use.name),
            f"{use.bytes:,}",
            f"{use.target_tokens:,}",
            percent(use.target_share),
            f"{use.draft_tokens:,}",
            percent(use.draft_share),
            style=style,
        )
    said = "How much of the target's text each method could propose if the draft knew it:"
    return Group(table, Text(said, style="dim"), reach)


def _lost(tokens: list[LostToken], who: str, how: str) -> Table:
    table = _table("times", f"{who} id", "token", how)
    for lost in tokens:
        written = Text(" ").join(Text(piece, style="cyan") for piece in lost.written)
        table.add_row(f"{lost.count}", str(lost.token), Text(lost.shown, style="bold"), written)
    return table


def _strings(report: Report) -> RenderableType:
    found = report.strings
    said = Text(
        f"A map by strings would find {found.equal:,} pairs, {found.wrong:,} of them false friends "
        f"(one string, different bytes), and miss {found.missed:,} tokens."
    )
    if not found.false_friends:
        return said
    table = _table("string", "target id", "is", "draft id", "is")
    for friend in found.false_friends:
        table.add_row(
            Text(friend.string, style="bold"),
            str(friend.target),
            Text(friend.target_shown),
            str(friend.draft),
            Text(friend.draft_shown),
        )
    return Group(said, table)


def _control(report: Report) -> Group:
    found = report.control
    lines = [
        *_pairs("the draft's", "proposes", found.proposed),
        *_pairs("the target's", "is shown as", found.shown),
        f"without a partner: {found.target_unpaired:,} of the target, {found.draft_unpaired:,} of the draft",
        f"the target stops at {_names(found.ends)}; the draft can propose {_names(found.ends_proposed)}",
        f"before a text: {_names(found.target_opening)} (target), {_names(found.draft_opening)} (draft)",
        f"a chat: by {found.chat.target_by} (target), by {found.chat.draft_by} (draft)",
    ]
    return Group(*map(Text, lines))


def _pairs(whose: str, verb: str, pairs: list[ControlPair]) -> Iterator[str]:
    by_role = [pair for pair in pairs if pair.why == "same role"]
    for pair in by_role[:_MOST_PAIRS]:
        yield f"{whose} {pair.content} {verb} {pair.partner_content}"
    if more := len(by_role) - len(by_role[:_MOST_PAIRS]):
        yield f"{more} more by role"
    if same := len(pairs) - len(by_role):
        yield f"{whose} {same:,} control tokens with equal contents: as themselves"


def _hazards(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    for hazard in report.hazards:
        said = Text.assemble((hazard.title, "bold"), f": {hazard.detail}")
        table.add_row(Text(hazard.severity, style=_SEVERITY_STYLES[hazard.severity]), hazard.who, said)
    return table


def _names(names: Iterable[str]) -> str:
    return " ".join(names) or "nothing"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for title in columns:
        texts = title in {"", "text", "token", "string", "is"} or title.endswith("writes")
        table.add_column(title, justify="left" if texts else "right", overflow="fold")
    return table
