"""The target's law with a memory of what it was made from: ``scores`` and ``logits`` of ``generate``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from anydraft.models.logits import ProcessedLaw
from anydraft.sampling.laws import best_of


class RecordingLaw:
    """A law that sees a row's padding as plain decoding shows it, and keeps what is to be returned."""

    def __init__(self, law: ProcessedLaw, pads: Tensor, wanted: frozenset[str]) -> None:
        """``pads`` int64 ``[p]``: ids before the row. ``wanted``: of ``"scores"`` and ``"logits"``."""
        self._law = law
        self._pads = pads
        self._wanted = wanted
        self._latest: dict[str, Tensor] = {}
        self._kept: list[Tensor] = []

    def __call__(self, logits: Tensor, committed: Tensor, candidates: Tensor) -> Tensor:
        """See :class:`ProcessedLaw`."""
        return self._law.law_of(self._scores(logits, committed, candidates))

    def best(self, logits: Tensor, committed: Tensor, candidates: Tensor) -> Tensor:
        """See :class:`ProcessedLaw`."""
        return best_of(self._scores(logits, committed, candidates))

    @property
    def reads_prefix(self) -> bool:
        """See :class:`ProcessedLaw`."""
        return self._law.reads_prefix

    def held(self, places: Sequence[int]) -> None:
        """See :class:`~anydraft.decoding.protocols.RememberingLaw`."""
        self._latest = {name: rows[list(places)] for name, rows in self._latest.items()}

    def _scores(self, logits: Tensor, committed: Tensor, candidates: Tensor) -> Tensor:
        prefix = torch.cat((self._pads, committed)) if len(self._pads) else committed
        scores = self._law.scores(logits, prefix, candidates)
        if "logits" in self._wanted:
            self._latest["logits"] = logits.to(torch.float32, copy=True)
        if "scores" in self._wanted:
            self._latest["scores"] = scores
        return scores

    def take(self, count: int) -> tuple[Tensor | None, Tensor | None]:
        """Scores and logits ``[count, V]`` of the first ``count`` tokens of the round just verified."""
        scores, logits = self._latest.get("scores"), self._latest.get("logits")
        if scores is not None:
            self._kept.extend(scores[:count])
        return (
            None if scores is None else scores[:count],
            None if logits is None else logits[:count],
        )

    def scores_of(self, count: int) -> tuple[Tensor, ...]:
        """The scores ``[1, V]`` of the first ``count`` tokens, some of which may be of the running round."""
        new = list(self._latest["scores"][: max(0, count - len(self._kept))])
        return tuple(row[None] for row in [*self._kept, *new][:count])
