"""Draw what the methods bring on the real pair, from a record of benches/python/acceptance.py.

python docs/images/draw_acceptance.py docs/images/acceptance.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from drawing import box, line, picture, text

RECORD = Path(__file__).parents[2] / "benches/record/2026-11-22-acceptance.json"
METHODS = {"slem": "tip", "tli": "draft", "pushforward": "fourth", "slrs": "target"}
PAIRS = {"gemma3 <- smollm2": "Gemma-3 ← SmolLM2", "smollm2 <- gemma3": "SmolLM2 ← Gemma-3"}
GENRES = ("prose", "code", "multilingual")
FIGURES = {
    "tokens_per_pass": ("tokens per target pass", 1.0, 4.0),
    "accepted_bytes_per_pass": ("accepted bytes", 0.0, 15.0),
}
TEMPERATURE = "1.0"
WIDTH, PANEL, LEFT, BAR = 980, 178, 44, 19


def panel(record: dict[str, Any], pair: str, figure: str, x: float, y: float) -> list[str]:
    """One pair and figure: a group of bars for each genre, with standard errors."""
    title, low, high = FIGURES[figure]
    height = PANEL - 62

    def at(value: float) -> float:
        return y + PANEL - 30 - height * (min(max(value, low), high) - low) / (high - low)

    parts = [text(x, y, f"{PAIRS[pair]}: {title}", "head")]
    steps = [low + (high - low) * i / 3 for i in range(4)]
    for step in steps:
        parts += [
            line([(x + LEFT - 8, at(step)), (x + 450, at(step))], "grid"),
            text(x + LEFT - 14, at(step) + 4, f"{step:.0f}", "dim", "end"),
        ]
    for i, genre in enumerate(GENRES):
        measured = record[f"{pair}, {genre}, T={TEMPERATURE}"]
        left = x + LEFT + i * 136
        for j, (method, kind) in enumerate(METHODS.items()):
            mean, error = measured[method][figure]
            middle = left + j * (BAR + 4) + BAR / 2
            parts.append(box(middle - BAR / 2, at(mean), BAR, at(low) - at(mean), kind, 0))
            parts.append(line([(middle, at(mean - error)), (middle, at(mean + error))]))
        parts.append(text(left + 56, y + PANEL - 10, genre, "dim", "middle"))
    return parts


def draw() -> str:
    """The picture as SVG."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    parts = []
    for row, pair in enumerate(PAIRS):
        for column, figure in enumerate(FIGURES):
            parts += panel(record, pair, figure, 24 + 484 * column, 34 + 206 * row)
    x = 24.0
    for method, kind in METHODS.items():
        parts += [box(x, 437, 12, 12, kind, 0), text(x + 18, 448, method)]
        x += 52 + 8 * len(method)
    parts.append(
        text(
            WIDTH - 24,
            448,
            f"temperature {TEMPERATURE}, blocks of {record['gamma']} draft tokens",
            "dim",
            "end",
        )
    )
    return picture(WIDTH, 466, "What the methods bring on the real pair", parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
