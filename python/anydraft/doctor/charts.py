"""Charts as inline SVG. Widths are percentages, so that bars stretch and letters do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_ROW, _LABEL, _GAP = 14, 20, 10


@dataclass(frozen=True)
class Bar:
    """One bar: a share from 0 to 1, what it says, and the class that colours it."""

    share: float
    said: str
    style: str


@dataclass(frozen=True)
class Group:
    """Bars under one heading."""

    name: str
    bars: Sequence[Bar]


def bars(title: str, groups: Sequence[Group]) -> str:
    """Horizontal bars, each group under its name; a share of 1 takes the whole width."""
    parts, y = [], 0
    for group in groups:
        parts.append(f'<text x="0" y="{y + 14}">{escape(group.name)}</text>')
        y += _LABEL
        for bar in group.bars:
            width = 82 * min(max(bar.share, 0.0), 1.0)
            box = f'x="0" y="{y}" height="{_ROW - 3}" rx="2"'
            parts.append(
                f'<rect class="empty" {box} width="82%"/>'
                f'<rect class="{bar.style}" {box} width="{width:.2f}%">'
                f"<title>{escape(bar.said)}</title></rect>"
                f'<text class="soft" x="100%" y="{y + 10}" text-anchor="end">{escape(bar.said)}</text>'
            )
            y += _ROW
        y += _GAP
    return _svg(title, y, parts)


def columns(title: str, names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Upright bars side by side: a name for each place, and series of shares with the class of each."""
    height, step = 150, 100 / max(len(names), 1)
    top = max((value for _, values in series for value in values), default=0.0) or 1.0
    width = 0.8 * step / max(len(series), 1)
    parts = []
    for i, name in enumerate(names):
        for j, (style, values) in enumerate(series):
            tall = (height - 20) * values[i] / top
            left = (i + 0.1) * step + j * width
            parts.append(
                f'<rect class="{style}" x="{left:.2f}%" y="{height - tall:.1f}" width="{width:.2f}%" '
                f'height="{tall:.1f}"><title>{escape(name)}: {values[i]:.1%}</title></rect>'
            )
        parts.append(
            f'<text class="soft" x="{(i + 0.5) * step:.2f}%" y="{height + 16}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    parts.append(f'<text class="soft" x="0" y="12">{top:.0%}</text>')
    return _svg(title, height + 20, parts)


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return f'<svg role="img" aria-label="{escape(title)}" height="{height}">{"".join(parts)}</svg>'
