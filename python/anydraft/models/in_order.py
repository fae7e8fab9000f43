"""Logits processors called exactly as plain decoding calls them: once for every token, in order.

A processor may keep a state (a grammar, a budget), or fail on a text that it has ruled out. Such a one must
never see a candidate that is then rejected. So it is called for one position after the other, with the whole
batch, and only as far as candidates stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from anydraft.models.logits import Processor
from anydraft.sampling.laws import best_of, to_law


class OrderedProcessors:
    """The processors of all rows of a decode, and the ids that they have been shown.

    All rows are one batch to them, of rows of one length: a round emits as many tokens for each.
    """

    def __init__(
        self,
        processors: Sequence[Processor],
        choice: Literal["sample", "greedy"],
        ids: Tensor,
        *,
        pad_id: int = 0,
        wanted: frozenset[str] = frozenset(),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """``ids`` int64 ``[B, L]``: the prompts as plain decoding shows them, padding included.

        ``pad_id`` follows a row that is finished; ``wanted``: of ``"scores"`` and ``"logits"``, what to keep;
        ``dtype``: as for :class:`ProcessedLaw`.
        """
        self._processors = list(processors)
        self._temperature = 0.0 if choice == "greedy" else 1.0
        self._ids = ids
        self._pad_id = pad_id
        self.wanted = wanted
        self._dtype = dtype
        self.rows = [OrderedRow(self, place) for place in range(len(ids))]

    def scores(self, logits: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Processed logits ``[V]`` of the rows that still run, given theirs ``[V]``; a call is a token."""
        first = next(iter(logits.values()))
        blank = torch.zeros_like(first)
        every = torch.stack([logits.get(place, blank) for place in range(len(self.rows))])
        every = every.to(self._dtype, copy=True)  # a processor may write into what it is given
        raw = every.clone() if "logits" in self.wanted else every
        for processor in self._processors:
            every = processor(self._ids, every)
        for place in logits:
            self.rows[place].record(every[place], raw[place])
        return {place: every[place] for place in logits}

    def best(self, scores: Tensor) -> Tensor:
        """0-d int64: the likeliest token; :data:`~anydraft.sampling.laws.NAN` where a score is NaN."""
        return best_of(scores[None])[0]

    def law(self, scores: Tensor) -> Tensor:
        """Scores ``[V]`` to a law ``[V]``."""
        return to_law(scores, self._temperature)

    def append(self, tokens: Mapping[int, int]) -> None:
        """Show what was emitted at this position, by row; a row that is finished gets padding."""
        column = [tokens.get(place, self._pad_id) for place in range(len(self.rows))]
        self._ids = torch.cat((self._ids, self._ids.new_tensor(column)[:, None]), 1)


class OrderedRow:
    """One row's place among them."""

    def __init__(self, order: OrderedProcessors, place: int) -> None:
        """Made by :class:`OrderedProcessors`."""
        self.order = order
        self.place = place
        self._scores: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._taken = 0

    def record(self, scores: Tensor, logits: Tensor) -> None:
        """Keep what the call asked for, ``[V]`` each."""
        if "scores" in self.order.wanted:
            self._scores.append(scores)
        if "logits" in self.order.wanted:
            self._logits.append(logits)

    def take(self, count: int) -> tuple[Tensor | None, Tensor | None]:
        """Scores and logits ``[count, V]`` of the ``count`` tokens of the round just verified."""
        start, self._taken = self._taken, self._taken + count
        found = [
            torch.stack(kept[start : self._taken]) if name in self.order.wanted and count else None
            for name, kept in (("scores", self._scores), ("logits", self._logits))
        ]
        return found[0], found[1]

    def scores_of(self, count: int) -> tuple[Tensor, ...]:
        """The scores ``[1, V]`` of the first ``count`` tokens."""
        return tuple(row[None] for row in self._scores[:count])
