"""The sections of the page on one pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from anydraft.doctor.charts import Bar, Group, bars, columns
from anydraft.doctor.prediction import PredictedPlan
from anydraft.doctor.reach import METHODS
from anydraft.doctor.report import ALL, Chat, ControlPair, LostToken, Picture, Report, Side

_METHOD_STYLES = ("target", "draft", "third")


def sections(report: Report) -> Iterator[str]:
    """Every section as HTML, charts first."""
    if report.predicted:
        body = "".join(_predicted(plan) for plan in report.predicted)
        yield _section("Predicted speed, as measured on this machine", body)
    yield _section("Cut by both", _picture(report.picture) + _sides_key("A bar is a boundary of both."))
    overlap = _section(
        "Overlap by count", _overlap(report) + key("Tokens of text that the other side has too.")
    )
    lengths = _section(
        "Lengths of tokens in use, in bytes",
        _lengths(report) + _sides_key("Shares of the tokens of all texts."),
    )
    yield _two(
        f"<div>{overlap}{lengths}</div>",
        _section("Lost in use", _loss(report) + _sides_key("Tokens in use that the other side lacks.")),
    )
    yield _section("Within reach, by method", _reach(report) + _methods_key())
    yield _section("Overlap by use", _use(report))
    yield _two(
        _section("Used by the target, lost on the draft", _lost(report.lost, "d", "the draft writes")),
        _section("Used by the draft, lost on the target", _lost(report.foreign, "t", "the target writes")),
    )
    yield _two(_section("Tokenizers", _sides(report)), _section("Hazards", _hazards(report)))
    yield _section("False friends", _strings(report))
    yield _two(
        _section("Control tokens", _control(report)),
        _section("How a chat begins", _chat(report.control.chat)),
    )


def percent(share: float) -> str:
    """With one decimal; what is not quite everything is not shown as everything."""
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; ``numbers``: which columns hold numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if i in numbers else ''}>{cell}</{tag}>" for i, cell in enumerate(cells)
        )

    head = f"<tr>{line([escape(title) for title in titles], 'th')}</tr>" if any(titles) else ""
    body = "".join(f"<tr{' class=all' if row[0] == ALL else ''}>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table>{head}{body}</table></div>'


def key(said: str) -> str:
    """A line of explanation."""
    return f'<p class="key">{escape(said)}</p>'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _two(*made: str) -> str:
    return f'<div class="two">{"".join(made)}</div>'


def _sides_key(said: str) -> str:
    return (
        '<p class="key"><i class="target"></i><b>target</b> <i class="draft"></i><b>draft</b> '
        f"&nbsp; {escape(said)}</p>"
    )


def _methods_key() -> str:
    marks = " ".join(
        f'<i class="{style}"></i><b>{name}</b>' for name, style in zip(METHODS, _METHOD_STYLES, strict=True)
    )
    said = "The target's tokens that a draft could propose if it knew the text."
    return f'<p class="key">{marks} &nbsp; {said}</p>'


def _token(shown: str, side: str) -> str:
    return f'<span class="token {side}" dir="auto">{escape(shown)}</span>'


def _tokens(shown: Sequence[str], side: str) -> str:
    return "".join(_token(piece, side) for piece in shown)


def _predicted(plan: PredictedPlan) -> str:
    rows = [
        [
            "target alone" if row.method == "none" else escape(row.method),
            str(row.length or ""),
            f"{row.tokens_per_pass:.2f}",
            f"{row.tokens_per_second:.1f}",
            f"{row.speedup:.2f}",
        ]
        for row in plan.rows
    ]
    titles = (plan.decoding, "draft tokens", "tokens / pass", "tokens / s", "× alone")
    return table(titles, rows, numbers=(1, 2, 3, 4)) + key(plan.recommendation)


def _picture(picture: Picture) -> str:
    blocks = "".join(
        f'<div class="block{"" if block.common else " open"}"><div>{_tokens(block.target, "t")}</div>'
        f"<div>{_tokens(block.draft, 'd')}</div></div>"
        for block in picture.blocks
    )
    return f'<div class="picture">{blocks}</div>'


def _overlap(report: Report) -> str:
    found = report.overlap
    sides = (
        (report.target.name, found.target_shared, found.target_tokens, "target"),
        (report.draft.name, found.draft_shared, found.draft_tokens, "draft"),
    )
    return bars(
        "Overlap by count",
        [
            Group(
                f"{name}: {shared:,} of {tokens:,}",
                [Bar(shared / max(tokens, 1), percent(shared / max(tokens, 1)), style)],
            )
            for name, shared, tokens, style in sides
        ],
    )


def _loss(report: Report) -> str:
    lost = [(use.name, 1 - use.target_share, 1 - use.draft_share) for use in report.texts]
    groups = [
        Group(name, [Bar(ours, percent(ours), "target"), Bar(theirs, percent(theirs), "draft")])
        for name, ours, theirs in lost
    ]
    return bars("Tokens lost, by text", groups)


def _reach(report: Report) -> str:
    groups = []
    for use in report.texts:
        made = [
            Bar(use.reached(name), percent(use.reached(name)), style)
            for name, style in zip(METHODS, _METHOD_STYLES, strict=True)
        ]
        groups.append(Group(use.name, made))
    return bars("Reach of each method, by text", groups)


def _lengths(report: Report) -> str:
    names = [str(i) for i in range(1, len(report.target.lengths))] + ["…"]
    series = [
        (style, [count / max(sum(side.lengths), 1) for count in side.lengths])
        for style, side in (("target", report.target), ("draft", report.draft))
    ]
    return columns("Lengths of tokens", names, series)


def _use(report: Report) -> str:
    titles = (
        "text",
        "bytes",
        "target tokens",
        "draft has",
        "draft tokens",
        "target has",
        "common ends",
        *METHODS,
    )
    rows = [
        [
            escape(use.name),
            f"{use.bytes:,}",
            f"{use.target_tokens:,}",
            percent(use.target_share),
            f"{use.draft_tokens:,}",
            percent(use.draft_share),
            f"{use.common_ends:,}",
            *(percent(use.reached(name)) for name in METHODS),
        ]
        for use in report.texts
    ]
    return table(titles, rows, numbers=range(1, len(titles)))


def _lost(tokens: Sequence[LostToken], other: str, how: str) -> str:
    if not tokens:
        return "<p>Nothing.</p>"
    own = "t" if other == "d" else "d"
    rows = [
        [str(lost.count), str(lost.token), _token(lost.shown, own), _tokens(lost.written, other)]
        for lost in tokens
    ]
    return table(("times", "id", "token", how), rows, numbers=(0, 1))


def _sides(report: Report) -> str:
    def row(title: str, ours: object, theirs: object) -> list[str]:
        return [title, *(escape("?" if value is None else str(value)) for value in (ours, theirs))]

    def padding(side: Side) -> int | None:
        return None if side.rows is None else side.rows - side.ids

    ours, theirs, memory = report.target, report.draft, report.memory
    rows = [
        row("", ours.name, theirs.name),
        row("ids", ours.ids, theirs.ids),
        row("tokens of text", ours.text_tokens, theirs.text_tokens),
        row("control tokens", ours.control_tokens, theirs.control_tokens),
        row("kind", ours.surface, theirs.surface),
        row("padded rows", padding(ours), padding(theirs)),
        row("window", ours.window, theirs.window),
        row("windowed layers", ours.sliding_window or "–", theirs.sliding_window or "–"),
        row("rejected tokens are", ours.rollback, theirs.rollback),
        row("weights", ours.size, theirs.size),
    ]
    said = f"Tables: {memory.tables / 2**20:.1f} MiB, and {memory.classes / 2**20:.1f} MiB more for slrs."
    return table(("", "target", "draft"), rows) + key(said)


def _hazards(report: Report) -> str:
    if not report.hazards:
        return "<p>None found.</p>"
    rows = [
        [
            f'<b class="{found.severity}">{found.severity}</b>',
            found.who,
            f"<b>{escape(found.title)}</b>: {escape(found.detail)}",
        ]
        for found in report.hazards
    ]
    return table(("", "", ""), rows)


def _strings(report: Report) -> str:
    found = report.strings
    said = (
        f"<p>A map by vocabulary strings would find {found.equal:,} pairs, {found.wrong:,} of them wrong, "
        f"and miss {found.missed:,} tokens. anydraft compares bytes.</p>"
    )
    rows = [
        [
            f"<code>{escape(friend.string)}</code>",
            str(friend.target),
            _token(friend.target_shown, "t"),
            str(friend.draft),
            _token(friend.draft_shown, "d"),
        ]
        for friend in found.false_friends
    ]
    titles = ("string", "target id", "is", "draft id", "is")
    return said + (table(titles, rows, numbers=(1, 3)) if rows else "")


def _control(report: Report) -> str:
    found = report.control
    rows = [
        *_partners(found.proposed, "a draft's", "proposes", "d", "t"),
        *_partners(found.shown, "a target's", "is shown as", "t", "d"),
    ]
    unpaired = f"{found.target_unpaired:,} of the target, {found.draft_unpaired:,} of the draft"
    ends = _tokens(found.ends, "t") or "nothing"
    proposed = _tokens(found.ends_proposed, "t") or "nothing"
    return (
        (table(("", "", "", "", ""), rows) if rows else "")
        + f"<p>The target stops at {ends}; the draft can propose {proposed}.</p>"
        + key(f"Without a partner: {unpaired}.")
    )


def _partners(
    pairs: Sequence[ControlPair], whose: str, verb: str, own: str, other: str
) -> Iterator[list[str]]:
    for pair in pairs[:12]:
        yield [whose, _token(pair.content, own), verb, _token(pair.partner_content, other), pair.why]
    if pairs[12:]:
        yield [f"{len(pairs) - 12:,} more", "", "", "", ""]


def _chat(chat: Chat) -> str:
    return (
        f"<p>The target reads, by {escape(chat.target_by)}:</p><pre>{escape(chat.target_prompt)}</pre>"
        f"<p>The draft reads, by {escape(chat.draft_by)}:</p><pre>{escape(chat.draft_prompt)}</pre>"
    )
