"""What a sequence is made of that others provide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from anydraft.proposers.base import Speller


class Session(Speller, Protocol):
    """One sequence of the Rust core: see ``anydraft._core.Session``."""

    def commit(self, ids: list[int], drafted: list[int], /) -> tuple[str, bytes, int, list[int]]:
        """Append target ids after the draft drew ``drafted``.

        The text that became complete, the bytes of ``ids``, and the splice of the draft's view.
        """

    def finish(self) -> str:
        """The text of an unfinished code point at the very end."""


class TargetLaw(Protocol):
    """The target's law after all logits processors."""

    def __call__(self, logits: Tensor, committed: Tensor, candidates: Tensor, /) -> Tensor:
        """Logits ``[k + 1, V]`` after ``committed`` and each candidate ``[k]``, to laws ``[k + 1, V]``."""


@runtime_checkable
class PointedLaw(TargetLaw, Protocol):
    """A law that can tell its likeliest tokens without making itself."""

    def best(self, logits: Tensor, committed: Tensor, candidates: Tensor, /) -> Tensor:
        """Shapes as for a call; result int64 ``[k + 1]``, ``NAN`` where a logit is NaN."""


@runtime_checkable
class RememberingLaw(TargetLaw, Protocol):
    """A law that keeps what it was made from, for whoever asks for it behind a token that was emitted."""

    def held(self, places: Sequence[int], /) -> None:
        """Of the rows that it was last given, those at ``places`` are the emitted tokens', in this order.

        Not called where they are the first ones.
        """


@runtime_checkable
class Closing(Protocol):
    """A model whose sequence takes part in a batch, and can leave it."""

    def close(self) -> None:
        """This sequence will not be advanced again."""
