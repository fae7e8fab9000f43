"""Which way to draft each block and how many tokens of it, decided before anything of the block is drawn."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from anydraft.scheduling.cost import DRAFTED, LOOKED_UP, REFRESH, Arm, CostModel, Ratio, Round
from anydraft.scheduling.plan import Plan

Times = Literal["measured", "nominal"]
"""What decides how blocks are drafted: clocks, or what passes should take by their weights."""

LOOKUP = "lookup"
"""The method that proposes what followed in the text before; no draft runs."""

NONE = "none"
"""In place of a method: nothing is drafted."""

DEFAULT = {"greedy": ("slem",), "sampling": ("slrs", "tli")}
"""Methods that ``"auto"`` takes beside lookups, without a plan."""


_lock = threading.RLock()  # decodes in several threads learn together


class Choice(NamedTuple):
    """How the next block is drafted."""

    method: str
    length: int
    least: float = 0.1
    """The chance, by the draft, from which on a candidate beside the line is worth its place in the pass."""


class Director(Protocol):
    """Decides how each block is drafted, before anything of it is drawn."""

    @property
    def methods(self) -> Sequence[str]:
        """All that it may choose."""

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """The next block; ``None``: the target alone.

        ``limit``: most candidates; ``backlog``: ids the draft would have to read, ``None`` if there is no
        draft; ``match``: bytes of the longest match of the text's end in the text, 0 if there is none.
        """

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """Note a finished round."""


@dataclass(frozen=True)
class Never:
    """Drafts nothing: the target alone."""

    methods: Sequence[str] = ()

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """See :class:`Director`."""
        return None

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """See :class:`Director`."""


@dataclass(frozen=True)
class Fixed:
    """One method and one length always; a lookup where the text matches."""

    method: str
    length: int

    @property
    def methods(self) -> Sequence[str]:
        """See :class:`Director`."""
        return (self.method,)

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """See :class:`Director`."""
        possible = match > 0 if self.method == LOOKUP else backlog is not None
        length = min(self.length, limit)
        return Choice(self.method, length) if possible and length > 0 else None

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """See :class:`Director`."""


class Adaptive:
    """What promises most tokens per second by the cost model: one of some methods, a lookup, or no draft.

    All methods are exact, and the choice depends on the past alone, so the output's law is the target's. What
    was seen fades, so that what did not pay is tried again; the cost model bounds what that may cost.
    """

    def __init__(
        self,
        methods: Sequence[str],
        cost: float,
        *,
        lengths: range = DRAFTED,
        nominal: bool = False,
        plan: Plan | None = None,
        ahead: int = 1,
    ) -> None:
        """``cost``: a draft pass as a share of a pass of the target, until measured; ``lengths``: of blocks.

        ``nominal``: learn from what rounds would have taken by weights. Then no clock has a say, and the same
        past makes the same choice on every run. ``plan``: start from what was measured. ``ahead``: draft
        tokens that come from one pass.
        """
        self.costs = CostModel({name: arm(name, cost, lengths, ahead) for name in methods})
        self.methods = tuple(methods)
        self._nominal, self._ahead = cost if nominal else None, ahead
        if plan is not None:
            plan.teach(self.costs)

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """See :class:`Director`."""
        with _lock:
            fresh, chosen = self.costs.since_plain < REFRESH, None
            least = (self.costs.plain() or 0.0) if fresh else 0.0
            for method, way in self.costs.arms.items():
                unread = (0 if match else None) if method == LOOKUP else backlog
                if unread is not None:
                    price, length = self.costs.best(way, limit, unread)
                    if price < least:
                        least, chosen = price, Choice(method, length, self.costs.pays(way, length, price))
        return chosen

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """See :class:`Director`."""
        if self._nominal is not None:
            looked_up = choice is not None and choice.method == LOOKUP
            seen = seen.nominal(0.0 if looked_up else self._nominal, self._ahead)
        lookup = self.costs.arms.get(LOOKUP)
        with _lock:
            self.costs.observe(choice.method if choice else None, seen)
            if lookup is not None and seen.foreseen is not None:
                lookup.acceptance.add(*seen.foreseen)


def arm(method: str, cost: float, lengths: range = DRAFTED, ahead: int = 1) -> Arm:
    """What is expected of a method before anything was seen; ``ahead``: see :class:`Arm`."""
    return Arm(LOOKED_UP, 0.0, Ratio(0.6, 1.0)) if method == LOOKUP else Arm(lengths, cost, ahead=ahead)


def director(
    method: str,
    length: int | Literal["auto"],
    kind: Literal["greedy", "sampling"],
    cost: float,
    *,
    times: Times = "measured",
    plan: Plan | None = None,
    ahead: int = 1,
) -> Director:
    """What decides for a method, ``"auto"`` and ``"none"`` included, and a length; see :class:`Adaptive`."""
    if method == NONE:
        return Never()
    methods: Sequence[str] = DEFAULT[kind] if method == "auto" else (method,)
    if length != "auto":
        return Fixed(methods[0], length)
    if method == "auto":
        if plan is not None:  # two: trials of more cost more than they bring
            methods = [name for name in plan.ranking() if name != LOOKUP][:2]
        methods = (LOOKUP, *methods)
    return Adaptive(methods, cost, nominal=times == "nominal", plan=plan, ahead=ahead)
