"""Draw how the loss of the draft tiny fell, for small screens, from the record of its training.

python docs/images/draw_loss.py docs/drafts/tiny-narrow.svg

The wide picture is one of those that `train-draft` makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from drawing import NARROW, line, picture, text

RECORD = Path(__file__).parents[1] / "drafts/tiny.json"
LEFT, TOP, BOTTOM = 44, 52, 246


def draw() -> str:
    """The picture as SVG."""
    curve = json.loads(RECORD.read_text(encoding="utf-8"))["curve"]
    losses = {
        "learnt": ("line", [(point["step"], point["loss"]) for point in curve]),
        "held out": ("loss", [(point["step"], point["held_out"]["loss"]) for point in curve]),
    }
    high = int(max(loss for _, points in losses.values() for _, loss in points)) + 1
    last = curve[-1]["step"]

    def at(step: float, loss: float) -> tuple[float, float]:
        return LEFT + (NARROW - LEFT - 24) * step / last, BOTTOM - (BOTTOM - TOP) * loss / high

    parts = [text(16, 30, "Loss, nats a draft token", "head")]
    for mark in range(high + 1):
        parts.append(line([at(0, mark), at(last, mark)], "grid"))
        parts.append(text(LEFT - 10, at(0, mark)[1] + 4, f"{mark}", "dim", "end"))
    for name, (kind, points) in losses.items():
        drawn = [at(*point) for point in points]
        parts += [line(drawn, kind), text(drawn[-1][0], drawn[-1][1] - 10, name, "dim", "end")]
    for step in (0, last):
        parts.append(text(at(step, 0)[0], BOTTOM + 22, f"{step}", "dim", "middle"))
    parts.append(text(at(last / 2, 0)[0], BOTTOM + 22, "steps", "dim", "middle"))
    return picture(NARROW, 290, "Loss by step", parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
