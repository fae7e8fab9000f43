"""Sequences of both models for rows that come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from anydraft.decoding.caches import PairCaches
from anydraft.models.base import Model
from anydraft.models.batch import batch_of
from anydraft.models.transformers import TransformersModel
from anydraft.proposers.draft_head import DraftHead


class Places:
    """One batch of the target and one of the draft, where their rows can share passes. Made by the engine."""

    def __init__(
        self, target: TransformersModel, sequences: Callable[[], tuple[Model, Model]], draft: DraftHead
    ) -> None:
        """``target``: what a batch is made of; ``sequences``: both models with empty caches."""
        self._target = batch_of(target)
        self._sequences = sequences
        self._draft_head = draft
        self._draft = draft.batch()

    @property
    def joint(self) -> bool:
        """Whether the target's rows share passes; if not, rows are better run one after another."""
        return self._target is not None

    def add(self, draft: Literal["shared", "own"] = "shared") -> PairCaches:
        """A place for a row, with empty caches; :meth:`Row.leave` gives it back.

        ``draft="own"``: draft passes that do not depend on who else is here. A batch has one head for all,
        so without this what is drafted for a row, though never what it says, may depend on other rows.
        """
        if self._target is None:
            return PairCaches(*self._sequences())
        together = self._draft is not None and draft == "shared"
        return PairCaches(
            self._target.add(),
            self._draft.add() if together and self._draft else self._draft_head.sequence(),
        )
