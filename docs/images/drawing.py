"""What the pictures have in common: colours in light and dark, text, bars, arrows, the frame.

Each is drawn twice: as wide as a page, and for a screen of 400 pixels. ``docs/hooks.py`` offers both.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

WIDE, NARROW = 980, 376

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .head { font-weight: 600; font-size: 15px }
  .dim { fill: #59636e }
  .mono { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC",
    "Noto Color Emoji", monospace; white-space: pre }
  .small { font-size: 10px }
  .card { fill: #ffffff; stroke: #d1d9e0 }
  .box { fill: #f6f8fa; stroke: #818b98 }
  .line { stroke: #818b98; fill: none; stroke-width: 1.3 }
  .grid { stroke: #d1d9e0; fill: none }
  .loss { stroke: #bc4c00; fill: none; stroke-width: 2.5 }
  .tip { fill: #818b98 }
  .target { fill: #0969da }
  .draft { fill: #bc4c00 }
  .accepted { fill: #1a7f37 }
  .third { fill: #8250df }
  .fourth { fill: #9a6700 }
  .targets { fill: #ddf4ff; stroke: #0969da }
  .drafts { fill: #fff1e5; stroke: #bc4c00 }
  .accepteds { fill: #dafbe1; stroke: #1a7f37 }
  .rejecteds { fill: none; stroke: #818b98; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .dim { fill: #9198a1 }
    .card { fill: #0d1117; stroke: #3d444d }
    .box { fill: #151b23; stroke: #656c76 }
    .grid { stroke: #3d444d }
    .loss { stroke: #f0883e }
    .target { fill: #4493f8 }
    .draft { fill: #f0883e }
    .accepted { fill: #3fb950 }
    .third { fill: #ab7df8 }
    .fourth { fill: #d29922 }
    .targets { fill: #0c2d55; stroke: #4493f8 }
    .drafts { fill: #4a2506; stroke: #f0883e }
    .accepteds { fill: #0f3d1c; stroke: #3fb950 }
  }
"""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text that starts, ends or is centred at a point."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, kind: str, radius: float = 5) -> str:
    """A rectangle with round corners."""
    size = f'width="{width:.1f}" height="{height:.1f}" rx="{radius:g}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} class="{kind}"/>'


def line(points: Sequence[tuple[float, float]], kind: str = "line") -> str:
    """A line through points."""
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{kind}"/>'


def arrow(points: Sequence[tuple[float, float]]) -> str:
    """A line through points with a tip at its end, along its last part."""
    (x0, y0), (x, y) = points[-2:]
    length = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
    dx, dy = (x - x0) / length, (y - y0) / length
    ends = [(x, y), (x - 9 * dx - 5 * dy, y - 9 * dy + 5 * dx), (x - 9 * dx + 5 * dy, y - 9 * dy - 5 * dx)]
    tip = " ".join(f"{a:.1f},{b:.1f}" for a, b in ends)
    return line([*points[:-1], (x - 6 * dx, y - 6 * dy)]) + f'<polygon points="{tip}" class="tip"/>'


def picture(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """The whole as SVG."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" class="card"/>',
            *parts,
            "</svg>\n",
        ]
    )


def keep(file: str, wide: str, narrow: str) -> None:
    """Write both forms of a picture: ``name.svg`` and, beside it, ``name-narrow.svg``."""
    path = Path(file)
    path.write_text(wide, encoding="utf-8")
    path.with_stem(f"{path.stem}-narrow").write_text(narrow, encoding="utf-8")
