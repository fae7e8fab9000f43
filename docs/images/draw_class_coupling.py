"""Draw the picture of docs/class-coupling.md from its worked example.

python docs/images/draw_class_coupling.py docs/images/class-coupling.svg
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from class_coupling import DRAFT, TARGET, class_step, ledger, member_step

WIDTH, HEIGHT = 980, 350
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .head { font-weight: 600; font-size: 15px }
  .dim { fill: #59636e }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .line { stroke: #818b98; fill: none }
  .tip { fill: #818b98 }
  .target { fill: #0969da }
  .draft { fill: #bc4c00 }
  .accepted { fill: #1a7f37 }
  .class { fill: #bf8700 }
  .member { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .dim { fill: #9198a1 }
    .card { fill: #0d1117; stroke: #3d444d }
    .target { fill: #4493f8 }
    .draft { fill: #f0883e }
    .accepted { fill: #3fb950 }
    .class { fill: #e3b341 }
    .member { fill: #ab7df8 }
  }
"""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text that starts, ends or is centred at a point."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def bar(x: float, y: float, length: float, kind: str, height: float = 13) -> str:
    """A bar; nothing if it has no length."""
    return f'<rect x="{x:g}" y="{y:g}" width="{length:.1f}" height="{height:g}" class="{kind}"/>' * (
        length > 0.05
    )


def pair(x: float, y: float, name: str, values: tuple[float, float], notes: tuple[str, str]) -> list[str]:
    """One symbol: its name, the target's bar above the draft's, and what each is the sum of."""
    parts = [text(x - 8, y + 18, name, anchor="end")]
    for i, (value, note, kind) in enumerate(zip(values, notes, ("target", "draft"), strict=True)):
        end = x + SCALE * value
        parts.append(bar(x, y + 15 * i, SCALE * value, kind))
        parts.append(text(end + 6, y + 11 + 15 * i, f"{value:.2f}"))
        parts.append(text(end + 38, y + 11 + 15 * i, note, "dim"))
    return parts


def legend(x: float, entries: list[tuple[str, str]]) -> list[str]:
    """Little squares and what they mean, in one row."""
    parts = []
    for kind, words in entries:
        parts += [bar(x, 313, 12, kind, 12), text(x + 18, 324, words, "dim")]
        x += 40 + 7 * len(words)
    return parts


SOURCES = {"accepted": "accepted", "class": "class rejected", "member": "member rejected"}
"""Colours of the third panel, and the columns of the ledger."""

SCALE = 150.0
"""Pixels of probability 1 in the first two panels."""


def classes() -> list[str]:
    """Panel 1."""
    ours, theirs = class_step()
    x = 70
    parts = [
        text(24, 40, "1  The class", "head"),
        text(24, 60, "with which draft token does it start?", "dim"),
    ]
    for row, (name, notes) in enumerate(
        {"sun": ("sun, sunset", "sun"), "moon": ("moon", "moon, moonset"), "set": ("set", "set")}.items()
    ):
        a = DRAFT.index(name)
        parts += pair(x, 88 + 70 * row, name, (ours[a], theirs[a]), notes)
    return parts


def members() -> list[str]:
    """Panel 2."""
    target, draft = member_step()
    x = 410
    parts = [
        text(350, 40, "2  Its member, if the class is sun", "head"),
        text(350, 60, "which token of the class is it?", "dim"),
        '<path d="M 288 104 H 334" class="line"/><path d="M 334 99 l 9 5 l -9 5 z" class="tip"/>',
    ]
    for row, (name, note) in enumerate({"sun": "no set follows", "sunset": "set follows"}.items()):
        t = TARGET.index(name)
        parts += pair(x, 88 + 70 * row, name, (target[t], draft[t]), ("", note))
    parts.append(text(350, 238, "Draft above target: kept with target / draft.", "dim"))
    parts.append(text(350, 257, "Target above draft: the rest, after a rejection.", "dim"))
    return parts


def emitted() -> list[str]:
    """Panel 3."""
    books = ledger()
    x, scale = 755, 480.0
    parts = [
        text(690, 40, "What comes out", "head"),
        text(690, 60, "every bar ends at the target's own law", "dim"),
    ]
    for t, name in enumerate(TARGET):
        y, end = 92 + 52 * t, float(x)
        parts.append(text(x - 8, y + 16, name, anchor="end"))
        for source, kind in (
            ("accepted", "accepted"),
            ("class rejected", "class"),
            ("member rejected", "member"),
        ):
            length = scale * books[source][t]
            parts.append(bar(end, y, length, kind, 22))
            end += length
        parts.append(text(end + 6, y + 16, f"{books['emitted'][t]:.2f}"))
    return parts


def draw() -> str:
    """The picture as SVG."""
    parts = [
        *classes(),
        *members(),
        *emitted(),
        *legend(24, [("target", "target's law"), ("draft", "draft's law")]),
        *legend(560, list(SOURCES.items())),
    ]
    title = "Class coupling: verify the class, then the member; the sum is the target's law"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8" class="card"/>',
            *(part for part in parts if part),
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
