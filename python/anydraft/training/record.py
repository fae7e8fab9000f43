"""What a training did, in numbers: the curve of the loss, and what the draft does for its target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anydraft.errors import ModelFileError
from anydraft.training.folder import write_whole
from anydraft.training.measure import Agreement, Measured


@dataclass(frozen=True)
class Point:
    """One place of the curve."""

    step: int
    loss: float
    """On what is being learnt, since the point before."""
    held_out: Agreement


@dataclass
class Record:
    """Everything that is written beside a trained draft."""

    size: str
    target: str
    corpus: list[str]
    seed: int
    vocabulary: int
    parameters: int
    texts: int
    """That the target and the others wrote for it."""
    tokens: int
    """Their draft tokens."""
    steps: int
    sampling_seconds: float = 0.0
    training_seconds: float = 0.0
    curve: list[Point] = field(default_factory=list)
    measured: dict[str, list[Measured]] = field(default_factory=dict)
    """By name of the target."""
    parallel: int = 1
    """Of how many next tokens one pass gives the laws."""
    others: list[str] = field(default_factory=list)
    """Targets that wrote a part of the texts too."""

    def save(self, path: Path) -> None:
        """As JSON."""
        write_whole(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Record:
        """What :meth:`save` wrote.

        Raises:
            ModelFileError: no record.
        """
        try:
            read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            read["curve"] = [Point(p["step"], p["loss"], Agreement(**p["held_out"])) for p in read["curve"]]
            read["measured"] = {k: [Measured(**m) for m in v] for k, v in read["measured"].items()}
            return cls(**read)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"got {path}, which is no record of a training: {error!r}") from error


def curve_svg(points: Sequence[Point]) -> str:
    """The loss on what is learnt (thin) and on held-out text (thick), by steps."""
    width, height, margin = 640, 300, 44
    lines = [[(p.step, p.loss) for p in points], [(p.step, p.held_out.loss) for p in points]]
    values = [value for line in lines for _, value in line] or [0.0, 1.0]
    low, high = min(values), max(values)
    last = max((p.step for p in points), default=1)

    def at(step: int, value: float) -> str:
        x = margin + (width - 2 * margin) * step / last
        y = margin + (height - 2 * margin) * (high - value) / max(high - low, 1e-9)
        return f"{x:.1f},{y:.1f}"

    drawn = [
        f'<polyline fill="none" stroke="{colour}" stroke-width="{thick}" '
        f'points="{" ".join(at(*place) for place in line)}"/>'
        for line, colour, thick in zip(lines, ("#8aa", "#b40"), (1, 2), strict=True)
    ]
    texts = [
        (margin, 24, "loss (nats a draft token): learnt, thin; held out, thick"),
        (margin, height - 14, "0 steps"),
        (width - margin - 70, height - 14, f"{last} steps"),
        (4, margin + 4, f"{high:.2f}"),
        (4, height - margin + 4, f"{low:.2f}"),
    ]
    words = [f'<text x="{x}" y="{y}">{text}</text>' for x, y, text in texts]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *drawn,
            *words,
            "</svg>\n",
        ]
    )
