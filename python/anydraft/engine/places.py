"""Sequences of both models for rows that come and go."""

from __future__ import annotations

from typing import Literal, Protocol

from anydraft.decoding.caches import PairCaches
from anydraft.decoding.sequence import close
from anydraft.models.base import Model


class Adding(Protocol):
    """A batch that sequences join; each leaves by a ``close`` of its own."""

    def add(self) -> Model:
        """An empty sequence."""


class Opens(Protocol):
    """What makes sequences of one model."""

    def sequence(self) -> Model:
        """The model with an empty cache, by itself."""

    def batch(self) -> Adding | None:
        """A batch without sequences; ``None`` where they cannot share passes."""


class Places:
    """One batch of the target and one of the draft, where their rows can share passes. Made by the engine."""

    def __init__(self, target: Opens, draft: Opens) -> None:
        """Make what both need of their models' weights."""
        self._sides = target, draft
        self._target, self._draft = target.batch(), draft.batch()

    @property
    def joint(self) -> bool:
        """Whether the target's rows share passes; if not, rows are better run one after another."""
        return self._target is not None

    def add(self, draft: Literal["shared", "own"] = "shared") -> PairCaches:
        """A place for a row, with empty caches; :meth:`Row.leave` gives it back.

        ``draft="own"``: draft passes that do not depend on who else is here. A batch has one head for all,
        so without this what is drafted for a row, though never what it says, may depend on other rows.
        """
        target, own = self._sides
        speaks = target.sequence() if self._target is None else self._target.add()
        try:
            alone = self._draft is None or draft == "own"
            drafts = own.sequence() if alone or self._draft is None else self._draft.add()
        except BaseException:
            close(speaks)
            raise
        return PairCaches(speaks, drafts)
