"""What a pair was measured to do, and what follows from it: a table, a recommendation, a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir
from anydraft.scheduling.cost import DRAFTED, CostModel, interpolated, tokens, work

VERSION = 3
"""Of the file."""

WORTH = 1.02
"""A speed-up below this is not worth a draft."""

_SHOWN = 5
"""Tokens of the pass whose cost is told."""

KNOWN = 8.0
"""How many candidates an acceptance counts that was measured on other text."""


@dataclass(frozen=True)
class Reach:
    """What one method was measured to do; see :mod:`anydraft.scheduling.cost`."""

    acceptance: float
    """The share of candidates that were accepted, of those whose predecessors were."""
    first: float
    """The share of blocks whose first candidate was accepted, or of a tree one beside it."""
    width: float
    """Candidates for each draft token."""
    step: float
    """Seconds that a draft token takes which has a pass to itself, all but the target's pass; for
    ``"lookup"`` a candidate."""
    share: float = 1.0
    """The share of rounds in which it could draft: a lookup only where the text matches."""
    spread: float = 1.0
    """Candidates in the target's pass for each that may hold: more than one of a tree."""
    ahead: int = 1
    """Draft tokens that come from one pass."""


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
    reach: dict[str, Reach]
    """By method."""
    positions: int = 0
    """Blocks that were judged."""
    notes: list[str] = field(default_factory=list)

    @property
    def step(self) -> float:
        """Seconds of a draft token, with the quickest method that drafts; 0 if none was measured."""
        return min((reach.step for name, reach in self.reach.items() if name != "lookup"), default=0.0)

    @property
    def kind(self) -> str:
        """What decodes it is for: ``"greedy"`` or ``"sampling"``."""
        return "greedy" if self.temperature == 0 else "sampling"

    def table(self) -> list[Prediction]:
        """Predictions for every method and length, the fastest first, and the target alone."""
        rows = [Prediction("none", 0, 1.0, 1 / self.plain, 1.0)]
        for method, reach in self.reach.items():
            for length in DRAFTED:
                candidates = length * reach.width
                emitted = 1 + reach.share * (tokens(reach.acceptance, candidates) - 1)
                wider = interpolated(self.verify, 1 + candidates * reach.spread) - self.verify[1]
                speed = emitted / (
                    self.plain + reach.share * (work(length, reach.ahead) * reach.step + wider)
                )
                rows.append(Prediction(method, length, emitted, speed, speed * self.plain))
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

    def teach(self, costs: CostModel) -> None:
        """Let a cost model start from what was measured; rounds refine all of it."""
        for size, seconds in self.verify.items():
            costs.add_pass(size, seconds)
        costs.rest.extend([max(self.plain - self.verify[1], 0.0)] * 2)
        for method in costs.arms.keys() & self.reach.keys():
            reach, arm = self.reach[method], costs.arms[method]
            arm.acceptance.add(KNOWN * reach.acceptance, KNOWN)
            arm.width.add(KNOWN * reach.width, KNOWN)
            arm.spread.add(KNOWN * reach.spread, KNOWN)
            if arm.ahead == reach.ahead:
                arm.steps.append(reach.step)

    def reason(self) -> str:
        """The recommendation in a sentence."""
        best, cost = self.best(), self.step / self.verify[1]
        costs = f"a draft pass takes {cost:.2f} of a target pass"
        row = next((row for row in self.table() if row.method != "none"), best)
        speed = f"{row.speedup:.2f} times the speed of the target alone"
        if best.method == "none":
            return f"no draft: {costs}, and the best, {row.method} with {row.length}, would give {speed}"
        tokens_per_pass = f"{row.tokens_per_pass:.2f} tokens come out of each target pass"
        return f"{row.method} with {row.length} draft tokens: {costs}, {tokens_per_pass}, {speed}"

    def passes(self) -> str:
        """What the target's passes over a few tokens cost, and what runs them, in a sentence."""
        cost = interpolated(self.verify, _SHOWN) / self.verify[1]
        return f"target: {self.pair['target']}; its pass over {_SHOWN} tokens takes {cost:.2f} of one over 1"

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
            if any(reach.ahead < 1 for reach in read["reach"].values()):
                raise ValueError("ahead")
            return cls(**read)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(
                f"got {path}, which is no plan of this version ({error!r}); make one with anydraft.plan"
            ) from error


def plan_path(pair: dict[str, str], kind: str) -> Path:
    """Where the plan of a pair is kept in the cache folder; ``kind``: ``"greedy"`` or ``"sampling"``."""
    told = "\n".join(f"{name}: {value}" for name, value in sorted(pair.items()))
    return cache_dir.root() / "plans" / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}-{kind}.json"


def keep(plan: Plan) -> Path:
    """Write a plan where :func:`find` finds it.

    Raises:
        ModelFileError: the cache folder cannot be written.
    """
    path = plan_path(plan.pair, plan.kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        plan.save(partial)
        partial.replace(path)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error}; set ANYDRAFT_CACHE to another folder") from error
    return path


def find(pair: dict[str, str], kind: str) -> Plan | None:
    """The plan that was kept for a pair, if it can be read."""
    try:
        path = plan_path(pair, kind)
        return Plan.load(path) if path.is_file() else None
    except OSError:  # of another version, or no cache folder that can be read: it will be measured again
        return None
