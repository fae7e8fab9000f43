"""Draw the picture of docs/class-coupling.md from its worked example.

python docs/images/draw_class_coupling.py docs/images/class-coupling.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from class_coupling import DRAFT, TARGET, class_step, ledger, member_step
from drawing import NARROW, WIDE, arrow, box, keep, picture, text

SCALE = 150.0
"""Pixels of probability 1 in the first two panels."""
SOURCES = {"accepted": "accepted", "class rejected": "fourth", "member rejected": "third"}
"""Columns of the ledger, and their colours in the third panel."""


def bar(x: float, y: float, length: float, kind: str, height: float = 13) -> list[str]:
    """A bar; nothing if it has no length."""
    return [box(x, y, length, height, kind, 0)] if length > 0.05 else []


def pair(x: float, y: float, name: str, values: tuple[float, float], notes: tuple[str, str]) -> list[str]:
    """One symbol: its name, the target's bar above the draft's, and what each is the sum of."""
    parts = [text(x - 8, y + 18, name, anchor="end")]
    for i, (value, note, kind) in enumerate(zip(values, notes, ("target", "draft"), strict=True)):
        end = x + SCALE * value
        parts += bar(x, y + 15 * i, SCALE * value, kind)
        parts.append(text(end + 6, y + 11 + 15 * i, f"{value:.2f}"))
        if note:
            parts.append(text(end + 38, y + 11 + 15 * i, note, "dim"))
    return parts


def legend(x: float, y: float, entries: list[tuple[str, str]]) -> list[str]:
    """Little squares and what they mean, in one row."""
    parts = []
    for kind, words in entries:
        parts += [*bar(x, y, 12, kind, 12), text(x + 18, y + 11, words, "dim")]
        x += 34 + 6.8 * len(words)
    return parts


def classes(x: float, y: float) -> list[str]:
    """Panel 1."""
    ours, theirs = class_step()
    parts = [
        text(x, y, "1  The class", "head"),
        text(x, y + 20, "with which draft token does it start?", "dim"),
    ]
    for row, (name, notes) in enumerate(
        {"sun": ("sun, sunset", "sun"), "moon": ("moon", "moon, moonset"), "set": ("set", "set")}.items()
    ):
        a = DRAFT.index(name)
        parts += pair(x + 46, y + 48 + 70 * row, name, (ours[a], theirs[a]), notes)
    return parts


def members(x: float, y: float) -> list[str]:
    """Panel 2."""
    target, draft = member_step()
    parts = [
        text(x, y, "2  Its member, if the class is sun", "head"),
        text(x, y + 20, "which token of the class is it?", "dim"),
    ]
    for row, (name, note) in enumerate({"sun": "no set follows", "sunset": "set follows"}.items()):
        t = TARGET.index(name)
        parts += pair(x + 60, y + 48 + 70 * row, name, (target[t], draft[t]), ("", note))
    parts.append(text(x, y + 198, "Draft above target: kept with target / draft.", "dim"))
    parts.append(text(x, y + 217, "Target above draft: the rest, after a rejection.", "dim"))
    return parts


def emitted(x: float, y: float) -> list[str]:
    """Panel 3."""
    books, scale = ledger(), 480.0
    parts = [
        text(x, y, "What comes out", "head"),
        text(x, y + 20, "every bar ends at the target's own law", "dim"),
    ]
    for t, name in enumerate(TARGET):
        top, end = y + 52 + 52 * t, x + 65
        parts.append(text(end - 8, top + 16, name, anchor="end"))
        for source, kind in SOURCES.items():
            length = scale * books[source][t]
            parts += bar(end, top, length, kind, 22)
            end += length
        parts.append(text(end + 6, top + 16, f"{books['emitted'][t]:.2f}"))
    return parts


def draw(*, narrow: bool) -> str:
    """The picture as SVG: three panels in a row, or in a column."""
    laws = [("target", "target's law"), ("draft", "draft's law")]
    sources = [(kind, name) for name, kind in SOURCES.items()]
    if narrow:
        parts = [
            *classes(16, 36),
            *members(16, 300),
            *legend(16, 536, laws),
            *emitted(16, 598),
            *legend(16, 848, sources),
        ]
    else:
        parts = [
            *classes(24, 40),
            arrow([(288, 104), (342, 104)]),
            *members(350, 40),
            *emitted(690, 40),
            *legend(24, 313, laws),
            *legend(570, 313, sources),
        ]
    title = "Class coupling: verify the class, then the member; the sum is the target's law"
    return picture(*((NARROW, 880) if narrow else (WIDE, 350)), title, parts)


if __name__ == "__main__":
    keep(sys.argv[1], draw(narrow=False), draw(narrow=True))
