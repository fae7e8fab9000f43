"""Two tokenizers under test, joined by anydraft."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from anydraft._core import Tokenizer
from anydraft.bridge.bridge import Bridge
from anydraft.errors import ArgumentError, TokenizerError
from anydraft.testing.subject import Subject

Bytes = bytes


class Sequenced(Protocol):
    """One sequence that a target speaks and a draft is shown, as a session of ``anydraft.Bridge``."""

    def view(self) -> list[int]:
        """The draft's view, without what it drafted."""

    def bytes(self) -> Bytes:
        """The bytes of all committed ids."""

    def propose(self, ids: list[int], /) -> list[int]:
        """The target's own encoding of what the draft drew."""

    def commit(self, ids: list[int], drafted: list[int], /) -> tuple[str, Bytes, int, list[int]]:
        """Append target ids after the draft drew ``drafted``.

        The text that became complete, the bytes of ``ids``, and the splice from what the draft was shown.
        """


@dataclass(frozen=True)
class SubjectPair:
    """A target's and a draft's tokenizer under test, with what anydraft makes of the pair."""

    target: Subject
    draft: Subject
    to_target: Callable[[int], int]
    """Of a draft id the target id with the same bytes; -1 where there is none."""
    to_draft: Callable[[int], int]
    expand: Callable[[int], list[int]]
    """Of a draft id the target ids that write it."""
    session: Callable[[], Sequenced]
    """A sequence in the middle of a text."""
    lacks: str = ""

    @classmethod
    def of(cls, target: Any, draft: Any = None) -> SubjectPair:
        """From anything that :meth:`Subject.of` takes and anydraft can read. A pair stays what it is.

        Raises:
            ArgumentError: no draft.
            TokenizerError: one that anydraft cannot read.
        """
        if isinstance(target, SubjectPair):
            return target
        if draft is None:
            raise ArgumentError("got one tokenizer; expected a target and a draft: the law is of pairs")
        sides = Subject.of(target), Subject.of(draft)
        cores = []
        for side in sides:
            if side.core is None:
                raise TokenizerError(f"{side.name}: {side.lacks}. The laws of pairs need its bytes")
            cores.append(side.core)
        bridge = Bridge(*cores)
        tables = bridge.tables
        offsets, ids = tables.expansion_offsets, tables.expansion_ids
        return cls(
            *sides,
            lambda i: int(tables.draft_to_target[i]),
            lambda i: int(tables.target_to_draft[i]),
            lambda i: ids[offsets[i] : offsets[i + 1]].tolist(),
            bridge.session,
        )

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.target.name} <- {self.draft.name}"

    @property
    def cores(self) -> tuple[Tokenizer | None, ...]:
        """Both as anydraft reads them."""
        return self.target.core, self.draft.core

    def allow(self, *names: str) -> SubjectPair:
        """The same with texts kept away from what is known of these tokenizers."""
        return replace(self, target=self.target.allow(*names), draft=self.draft.allow(*names))
