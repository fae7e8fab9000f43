"""Draw what the methods bring on the real pair, from a record of benches/python/acceptance.py.

python docs/images/draw_acceptance.py docs/images/acceptance.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from drawing import NARROW, WIDE, box, keep, line, picture, text

RECORD = Path(__file__).parents[2] / "benches/record/2026-11-22-acceptance.json"
METHODS = {"slem": "tip", "tli": "draft", "pushforward": "fourth", "slrs": "target"}
PAIRS = {"gemma3 <- smollm2": "Gemma-3 ← SmolLM2", "smollm2 <- gemma3": "SmolLM2 ← Gemma-3"}
GENRES = ("prose", "code", "multilingual")
FIGURES = {
    "tokens_per_pass": ("tokens per pass", 1.0, 4.0),
    "accepted_bytes_per_pass": ("accepted bytes", 0.0, 15.0),
}
TEMPERATURE = "1.0"
PANEL, LEFT, BAR = 178, 44, 19


def panel(record: dict[str, Any], pair: str, figure: str, x: float, y: float, step: float) -> list[str]:
    """One pair and figure: a group of bars for each genre, every ``step`` pixels, with standard errors."""
    title, low, high = FIGURES[figure]
    height = PANEL - 62

    def at(value: float) -> float:
        return y + PANEL - 30 - height * (min(max(value, low), high) - low) / (high - low)

    parts = [text(x, y, f"{PAIRS[pair]}: {title}", "head")]
    for mark in (low + (high - low) * i / 3 for i in range(4)):
        parts += [
            line([(x + LEFT - 8, at(mark)), (x + LEFT + 2 * step + 4 * (BAR + 4), at(mark))], "grid"),
            text(x + LEFT - 14, at(mark) + 4, f"{mark:.0f}", "dim", "end"),
        ]
    for i, genre in enumerate(GENRES):
        measured = record[f"{pair}, {genre}, T={TEMPERATURE}"]
        left = x + LEFT + i * step
        for j, (method, kind) in enumerate(METHODS.items()):
            mean, error = measured[method][figure]
            middle = left + j * (BAR + 4) + BAR / 2
            parts.append(box(middle - BAR / 2, at(mean), BAR, at(low) - at(mean), kind, 0))
            parts.append(line([(middle, at(mean - error)), (middle, at(mean + error))]))
        parts.append(text(left + 2 * (BAR + 4), y + PANEL - 10, genre, "dim", "middle"))
    return parts


def draw(*, narrow: bool) -> str:
    """The picture as SVG: four panels in a square, or in a column."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    left, step, spacing = (16, 106, (36, 7.4)) if narrow else (24, 161, (52, 8))
    parts, panels = [], [(pair, figure) for pair in PAIRS for figure in FIGURES]
    for i, shown in enumerate(panels):
        row, column = (i, 0) if narrow else divmod(i, 2)
        parts += panel(record, *shown, left + 484 * column, 34 + 206 * row, step)
    x, y = float(left), 437 + 412 * narrow
    for method, kind in METHODS.items():
        parts += [box(x, y, 12, 12, kind, 0), text(x + 18, y + 11, method)]
        x += spacing[0] + spacing[1] * len(method)
    said = f"temperature {TEMPERATURE}, blocks of {record['gamma']} draft tokens"
    parts.append(text(left, y + 35, said, "dim") if narrow else text(WIDE - 24, y + 11, said, "dim", "end"))
    size = (NARROW, 902) if narrow else (WIDE, 466)
    return picture(*size, "What the methods bring on the real pair", parts)


if __name__ == "__main__":
    keep(sys.argv[1], draw(narrow=False), draw(narrow=True))
