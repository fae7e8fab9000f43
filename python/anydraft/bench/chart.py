"""A record of the speed comparison as a page with one bar chart a cell; no libraries, no scripts."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

WIDTH, BAR, LABEL = 520, 18, 300
COLOURS = {"auto": "#0b7a75", "target alone": "#555", "transformers": "#999", "not lossless": "#c0392b"}


def write_chart(record: dict[str, Any], path: Path) -> None:
    """One page: a chart for every pair, prompt set and temperature, with its intervals."""
    most = max(row["interval"][1] for cell in record["cells"].values() for row in cell["contenders"].values())
    charts = "\n".join(_cell(title, cell, max(most, 1.0)) for title, cell in record["cells"].items())
    notes = "".join(
        f"<p>{html.escape(pair)}: {html.escape(note)}</p>" for pair, note in record["notes"].items() if note
    )
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>anydraft: speed beside the target alone</title>"
        "<style>body{font:15px sans-serif;max-width:70em;margin:2em auto}figure{margin:1.5em 0}"
        "figcaption{font-weight:bold}</style>"
        "<h1>Speed beside the target alone</h1>"
        f"<p>{html.escape(record['machine'])}, torch {html.escape(record['torch'])}. Bars: geometric mean "
        "over prompts; lines: bootstrap 95 %. The vertical line is the target alone.</p>"
        f"{notes}{charts}\n",
        encoding="utf-8",
    )


def _cell(title: str, cell: dict[str, Any], most: float) -> str:
    rows = cell["contenders"]
    height = (BAR + 6) * len(rows) + 4
    one = LABEL + WIDTH / most
    bars = [
        f'<line x1="{one:.1f}" y1="0" x2="{one:.1f}" y2="{height}" stroke="#555" stroke-dasharray="3 3"/>'
    ]
    for i, (name, row) in enumerate(rows.items()):
        y = i * (BAR + 6) + 2
        low, high = (LABEL + WIDTH * value / most for value in row["interval"])
        length, middle = WIDTH * row["ratio"] / most, y + BAR / 2
        bars.append(
            f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end" font-size="12">{html.escape(name)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{_colour(name)}"/>'
            f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#000"/>'
            f'<text x="{max(high, LABEL + length) + 6:.1f}" y="{y + 13}" font-size="12">'
            f"{row['ratio']:.2f}</text>"
        )
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg width="{LABEL + WIDTH + 60}" height="{height}" role="img">{"".join(bars)}</svg></figure>'
    )


def _colour(name: str) -> str:
    if "NOT LOSSLESS" in name:
        return COLOURS["not lossless"]
    if name.startswith("transformers"):
        return COLOURS["transformers"]
    return COLOURS.get(name, "#5fb3ae")
