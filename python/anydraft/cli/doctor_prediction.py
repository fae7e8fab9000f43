"""The doctor with weights: both models measured by the planner, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from anydraft.cli.loading import load_pair, side
from anydraft.cli.options import EngineName
from anydraft.doctor.prediction import PredictedPlan, PredictedSpeed, Temperature

if TYPE_CHECKING:
    from anydraft.scheduling.plan import Plan, Prediction

_SAMPLED = 0.7


def predict(
    target: Path, draft: Path, threads: int | None, engine: EngineName = "auto"
) -> list[PredictedPlan]:
    """Load both models and measure them for some seconds, greedily and at temperature 0.7.

    Raises:
        ModelFileError, ModelError, PairError: as for loading and joining the two.
    """
    big, small = load_pair(
        side(target), side(draft), dtype=None, device="auto", threads=threads, engine=engine
    )
    from anydraft.planner import plan

    models = big.model, small.model, big.tokenizer, small.tokenizer
    decodings: list[tuple[Temperature, float]] = [("greedy", 0.0), ("sampling", _SAMPLED)]
    return [_plain(name, plan(*models, temperature=temperature)) for name, temperature in decodings]


def section(plans: list[PredictedPlan]) -> RenderableType:
    """For the terminal."""
    parts: list[RenderableType] = []
    for plan in plans:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(plan.decoding)
        for title in ("draft tokens", "tokens/pass", "tokens/s", "x alone"):
            table.add_column(title, justify="right")
        for row in plan.rows:
            alone = row.method == "none"
            table.add_row(
                "target alone" if alone else row.method,
                "" if alone else str(row.length),
                f"{row.tokens_per_pass:.2f}",
                f"{row.tokens_per_second:.1f}",
                f"{row.speedup:.2f}",
            )
        parts += [table, Text(plan.recommendation)]
    return Group(*parts)


def _plain(decoding: Temperature, found: Plan) -> PredictedPlan:
    best: dict[str, Prediction] = {}
    for row in found.table():  # the fastest first
        best.setdefault(row.method, row)
    rows = [
        PredictedSpeed(row.method, row.length, row.tokens_per_pass, row.tokens_per_second, row.speedup)
        for row in best.values()
    ]
    return PredictedPlan(decoding, rows, f"{found.reason()}\n{found.passes()}")
