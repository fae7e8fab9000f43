"""What a pair was measured to do, and what follows from it: a table, a recommendation, a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anydraft.errors import ModelFileError
from anydraft.scheduling.timing import Curve

VERSION = 1
"""Of the file."""

WORTH = 1.02
"""A speed-up below this is not worth a draft."""


@dataclass(frozen=True)
class Reach:
    """How far blocks of one method get, by draft tokens from 1 on."""

    tokens: list[float]
    """Expected accepted tokens of a block."""
    candidates: list[float]
    """Candidates of a block."""
    first: float
    """The chance that the first candidate is accepted."""
    rest: float = 0.0
    """Seconds outside both models for each draft token."""


@dataclass(frozen=True)
class Prediction:
    """One line of the table."""

    method: str
    length: int
    """Draft tokens; for ``"lookup"`` candidates; 0 for the target alone."""
    tokens_per_pass: float
    tokens_per_second: float
    speedup: float
    """Beside the target alone."""


@dataclass(frozen=True)
class Plan:
    """What was measured of a pair. Everything else follows from it."""

    pair: dict[str, str]
    """What was measured: models, tokenizers, device."""
    temperature: float
    plain: float
    """Seconds of a round of the target alone."""
    verify: dict[int, float]
    """Seconds of a target pass by tokens fed."""
    step: float
    """Seconds of a draft pass."""
    reach: dict[str, Reach]
    """By method."""
    positions: int = 0
    """Places in the texts at which blocks were judged."""
    notes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What decodes it is for: ``"greedy"`` or ``"sampling"``."""
        return "greedy" if self.temperature == 0 else "sampling"

    def table(self) -> list[Prediction]:
        """Predictions for every method and length, the fastest first, and the target alone."""
        plain = self._seconds("none", 0)
        rows = [Prediction("none", 0, 1.0, 1 / plain, 1.0)]
        for method, reach in self.reach.items():
            for length in range(1, len(reach.tokens) + 1):
                tokens = 1 + reach.tokens[length - 1]
                seconds = self._seconds(method, length)
                rows.append(Prediction(method, length, tokens, tokens / seconds, tokens * plain / seconds))
        return sorted(rows, key=lambda row: -row.tokens_per_second)

    def best(self, method: str | None = None) -> Prediction:
        """The fastest line, of one method if given; the target alone where nothing is worth a draft."""
        rows = [row for row in self.table() if method is None or row.method == method]
        if method is None and rows[0].speedup < WORTH:
            return next(row for row in rows if row.method == "none")
        return rows[0]

    def ranking(self) -> list[str]:
        """The methods, the best first."""
        return sorted(self.reach, key=lambda method: -self.best(method).speedup)

    def reason(self) -> str:
        """The recommendation in a sentence."""
        best, cost = self.best(), self.step / self.verify[1]
        costs = f"a draft pass takes {cost:.2f} of a target pass"
        if best.method == "none":
            nearest = self.table()[0] if self.table()[0].method != "none" else self.table()[1]
            return (
                f"no draft: {costs}, and the best of all, {nearest.method} with {nearest.length}, would give "
                f"{nearest.speedup:.2f} times the speed of the target alone"
            )
        return (
            f"{best.method} with {best.length} draft tokens: {costs}, {best.tokens_per_pass:.2f} tokens come "
            f"out of each target pass, {best.speedup:.2f} times the speed of the target alone"
        )

    def __str__(self) -> str:
        """The best line of every method, and the recommendation."""
        lines = [f"{'method':12} {'draft':>5} {'tokens/pass':>12} {'speed-up':>9}"]
        lines += [
            f"{row.method:12} {row.length:5} {row.tokens_per_pass:12.2f} {row.speedup:9.2f}"
            for row in (self.best(method) for method in self.ranking())
        ]
        return "\n".join([*lines, self.reason(), *self.notes])

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        Path(path).write_text(json.dumps({"anydraft plan": VERSION, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read what :meth:`save` wrote.

        Raises:
            ModelFileError: no plan, or one of another version.
        """
        try:
            read: dict[str, Any] = json.loads(Path(path).read_text())
            if read.pop("anydraft plan") != VERSION:
                raise KeyError("version")
            read["verify"] = {int(size): seconds for size, seconds in read["verify"].items()}
            read["reach"] = {method: Reach(**reach) for method, reach in read["reach"].items()}
            return cls(**read)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(
                f"got {path}, which is no plan of this version ({error!r}); make one with anydraft.plan"
            ) from error

    def _seconds(self, method: str, length: int) -> float:
        verify = Curve(0.05)
        for size, seconds in self.verify.items():
            verify.add(size, seconds)
        reach = self.reach.get(method)
        fed = verify(1 + (reach.candidates[length - 1] if reach else 0.0))
        assert fed is not None
        draft = 0.0 if method == "lookup" else length * self.step
        rest = self.plain - self.verify[1] + (length * reach.rest if reach else 0.0)
        return draft + fed + rest


def tokens_of(texts: Sequence[Sequence[Sequence[tuple[int, float]]]], lengths: int) -> list[float]:
    """Accepted tokens of a block, by draft tokens from 1 to ``lengths``.

    ``texts``: of each text, for every token of it the block that a round beginning there would draft: its
    candidates in order, each with the draft tokens needed to propose it and the chance that it and all before
    it are accepted.
    """
    return [
        sum(map(len, texts)) / sum(rounds_of(text, length) for text in texts) - 1
        for length in range(1, lengths + 1)
    ]


def rounds_of(blocks: Sequence[Sequence[tuple[int, float]]], length: int) -> float:
    """The expected number of rounds in which a text is written, with blocks of ``length`` draft tokens."""
    expected = [0.0] * (len(blocks) + 1)
    for start in range(len(blocks) - 1, -1, -1):
        reach = [1.0, *(chance for needed, chance in blocks[start] if needed <= length), 0.0]
        after = [expected[min(start + kept + 1, len(blocks))] for kept in range(len(reach) - 1)]
        expected[start] = 1 + sum(
            (reach[kept] - reach[kept + 1]) * rounds for kept, rounds in enumerate(after)
        )
    return expected[0]


def agreement(predicted: Mapping[str, float], measured: Mapping[str, float], tie: float = 0.0) -> float:
    """The share of pairs of methods that two speed tables put in the same order.

    Pairs whose measured speeds are within ``tie`` (a share) of each other agree in any order.
    """
    names = sorted(predicted.keys() & measured.keys())
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    same = [
        (predicted[a] > predicted[b]) == (measured[a] > measured[b])
        or abs(measured[a] - measured[b]) <= tie * max(measured[a], measured[b])
        for a, b in pairs
    ]
    return sum(same) / len(same) if same else 1.0
