"""The one protocol of all drafting strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from anydraft.errors import DraftError
from anydraft.memory.lookup import Continuation
from anydraft.models.base import Model
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import Chain


class Speller(Protocol):
    """Turns drafted ids into target ids through text (a session of the Rust core)."""

    def propose(self, draft_ids: list[int]) -> list[int]:
        """The target ids of the drafted text, read from the end of the committed text."""

    def branches(
        self, steps: list[list[tuple[int, float]]], line: list[int], *, more: int, least: float, depth: int
    ) -> tuple[list[int], list[int], float]:
        """Target ids beside a line of candidates; see ``anydraft._core.Session``."""


@dataclass(frozen=True)
class DraftContext:
    """What a strategy may use to draft one block."""

    model: Model
    pending: Tensor
    """int64 ``[n]``, n >= 1, on the draft's device: the ids of the draft's view that are not cached."""
    law: Callable[[Tensor], Tensor]
    """Logits ``[vocab]`` to the draft's processed law ``[vocab]``: float32 or better, sums to 1."""
    speller: Speller
    target_device: torch.device
    target_width: int
    best: Callable[[Tensor], Tensor] | None = None
    """Logits ``[vocab]`` to the likeliest token, 0-d int64, where that can be had without the law."""
    limit: int | None = None
    """The most candidates that will be verified, >= 1; ``None`` is no limit.

    A strategy must end its block there itself. Cutting the candidates afterwards is not exact: a block that
    ends in *nothing to propose* would be rejected there, and one that was cut would not.
    """
    likely: Callable[[Tensor], Tensor] | None = None
    """Logits ``[vocab]`` to the law ``[vocab]`` by which the draft's guesses are ranked, also when greedy."""
    breadth: int = 0
    """How many of the draft's likeliest tokens are noted at every step, to make a tree of; 0: no tree."""
    least: float = 0.0
    """The chance, by the draft, from which on a candidate beside the line is worth its place in the pass."""
    looked_up: Sequence[Continuation] = ()
    """How the committed text may go on by what was said before, the likeliest first: found before anything
    of the round was drawn."""


@dataclass(frozen=True)
class Drawn:
    """Draft tokens and the laws they were drawn from, on the draft's device."""

    ids: Tensor
    """int64 ``[gamma]``."""
    laws: Tensor
    """``[gamma, D]``: exactly the law each id was drawn from; every row sums to 1."""
    failure: DraftError | None = None
    """Why the draft's model could not go on; what it had drawn is here."""
    likely: tuple[Tensor, Tensor] | None = None
    """Of every step the id drawn, then the likeliest ones, int64 ``[gamma, b]``, and their chances."""


class Branches(NamedTuple):
    """Target ids that are verified beside a line of candidates, so that all together are a tree."""

    ids: list[int]
    parents: list[int]
    """Of each, which place is before it: 0 is the committed text, ``i`` the ``i``-th candidate from 1, the
    line first, then these."""
    expected: float = 0.0
    """How many of these hold, if the draft's chances are right."""


@dataclass(frozen=True)
class Block:
    """One drafted block. Strategies add what their own verification needs."""

    draft_ids: Tensor
    """int64 ``[gamma]`` on the draft's device: the ids drawn, in order."""
    candidates: Tensor
    """int64 ``[k]`` on the target's device: the target ids to be verified, in order; k may be 0."""
    draft_list: list[int] | None = field(default=None, kw_only=True)
    """:attr:`draft_ids` on the host, where making the block took them there."""
    candidate_list: list[int] | None = field(default=None, kw_only=True)
    """:attr:`candidates` on the host, where they were made there."""
    branches: Branches | None = field(default=None, kw_only=True)
    """What is verified beside :attr:`candidates`."""
    failure: DraftError | None = field(default=None, kw_only=True)
    """Why the draft could not go on after this block, which is verified all the same."""


class Strategy(Protocol):
    """Drafts a block and verifies it. Immutable: all state of a sequence lives in the context."""

    @property
    def name(self) -> str:
        """The method's name, as given to ``method=``."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> Block:
        """Draw ``gamma`` >= 1 draft tokens and turn them into candidates."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """Accept a prefix of the candidates and draw the token after it.

        Shapes: ``laws`` ``[k + 1, V]`` on the target's device, float32 or better: the target's law at
        every candidate and after the last. Result: int64 ``[2]``: number of accepted candidates, next id.
        """


@runtime_checkable
class Drawing(Strategy, Protocol):
    """A strategy that first draws its tokens one by one: several rows can be drafted together."""

    @property
    def allowed(self) -> Tensor:
        """bool ``[D]`` on the draft's device: which tokens may be drawn."""

    def block(self, drawn: Drawn, context: DraftContext) -> Block:
        """Turn drawn tokens into candidates."""


@runtime_checkable
class Chaining(Drawing, Protocol):
    """A strategy whose blocks are verified as a chain of symbols."""

    def chain(self, block: Block, laws: Tensor) -> Chain:
        """The chain of a block; ``laws`` as for :meth:`Strategy.verify`."""
