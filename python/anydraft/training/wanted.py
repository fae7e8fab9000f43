"""What is asked of a training, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel

from anydraft.bridge.protocols import AnyTokenizer
from anydraft.errors import ArgumentError
from anydraft.scheduling.cost import DRAFTED
from anydraft.training import writing
from anydraft.training.measure import Measured
from anydraft.training.record import Point
from anydraft.training.sizes import Size, SizeName

MOST_PARALLEL = DRAFTED[-1]
"""Tokens that one pass of a draft may propose: as many as a block has at most."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    size: SizeName = "tiny"
    seed: int = 0
    minutes: float = 60.0
    """For everything; texts and steps, where given, are not cut short by it."""
    texts: int | None = None
    """That the target writes; by default as many as half of the time allows."""
    steps: int | None = None
    """Of training; by default as many as the other half allows."""
    shape: Size | None = None
    """Instead of the size's own."""
    parallel: int = 1
    """Of how many next tokens one pass of the draft gives the laws; see :mod:`anydraft.models.ahead`."""
    new_tokens: int = writing.LONGEST
    """The longest text of the target."""

    def check(self) -> None:
        """Raise :class:`ArgumentError` for what cannot be."""
        if not 1 <= self.parallel <= MOST_PARALLEL:
            raise ArgumentError(
                f"got parallel={self.parallel}; expected 1 (token by token) to {MOST_PARALLEL}, the most "
                "tokens of a block"
            )


@dataclass(frozen=True)
class Other:
    """A target that writes texts."""

    model: PreTrainedModel
    tokenizer: AnyTokenizer
    name: str


class Watcher:
    """Told what happens; this one is not interested."""

    def stage(self, name: str, done: float, told: str = "") -> None:
        """A stage is done to so much, from 0 to 1; ``told``: what is to be seen of it now."""

    def point(self, point: Point) -> None:
        """A place of the curve."""

    def measured(self, step: int, measured: Sequence[Measured]) -> None:
        """What the draft is worth after so many steps."""

    def unmeasured(self, step: int, reason: str) -> None:
        """That it could not be told, and why."""
