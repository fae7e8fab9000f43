"""From drafted ids to the chain of classes and members that class coupling verifies."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from torch import Tensor

from anydraft.proposers.expansion import Expansion
from anydraft.proposers.slrs.spelling import ClassSpelling
from anydraft.sampling.laws import renormalise
from anydraft.sampling.rejection import NO_TOKEN


@dataclass(frozen=True)
class Step:
    """One symbol of the chain: a class, a target token given its class, or a target token outright."""

    row: int
    """Number of candidates before it: which target law it is verified against."""
    symbol: int
    """Draft id of a class, or target id; ``NO_TOKEN`` if nothing is proposed."""
    within: int
    """The class that is given, or ``NO_TOKEN``."""
    weights: Tensor
    """``[D]``: the draft's law, given what the steps before revealed."""
    labels: Tensor
    """int64 ``[D]``: the symbol that each draft token would have given."""
    classwise: bool = False
    """Whether the symbol is a class."""


@dataclass
class ClassPlan:
    """Walks over drafted ids and writes down the steps; everything it looks at, it reveals by a step."""

    spelling: ClassSpelling
    laws: Tensor
    """``[gamma, D]`` on the target's device."""
    ids: list[int]
    limit: int = sys.maxsize
    steps: list[Step] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)

    def build(self) -> ClassPlan:
        """Write the steps of all drafted ids, up to the limit or to the first without a proposal."""
        position, expansion = 0, self.spelling.whole
        known: Tensor | None = (
            None  # bool [D]: the draft tokens that agree with what was revealed of this one
        )
        while position < len(self.ids) and len(self.candidates) < self.limit:
            row = expansion.row(self.ids[position])
            rule, going = "end", None
            for depth in range(len(row)):
                going = expansion.going_on(row[:depth], going) if depth else None
                agrees = _both(known, going)
                if position == len(self.ids) - 1:
                    self._token(position, agrees, expansion.column(depth), row[depth])
                else:
                    rule, known_next = self._class(position, expansion, row, depth, agrees)
                if rule == "nothing" or len(self.candidates) == self.limit:
                    return self
            known = known_next if rule in ("own", "crossing") else None
            expansion = self.spelling.rest if rule == "crossing" else self.spelling.whole
            position += 2 if rule == "merge" else 1
        return self

    def _token(self, position: int, agrees: Tensor | None, labels: Tensor, target_id: int) -> None:
        """Propose a target token outright: after the last draft token there is no law to look ahead with."""
        self._add(target_id, NO_TOKEN, self._given(position, agrees), labels)

    def _class(
        self, position: int, expansion: Expansion, row: list[int], depth: int, agrees: Tensor | None
    ) -> tuple[str, Tensor | None]:
        """Propose a class, then its member. Returns the rule that gave the member, and what it revealed."""
        symbol, is_open = self.spelling.symbol(row[depth], last=depth == len(row) - 1)
        classes, opens = self.spelling.reading(expansion, depth)
        self._add_class(symbol, self._given(position, agrees), classes)
        if symbol == NO_TOKEN:
            return "nothing", None
        if not is_open:
            closed = _both(agrees, (classes == symbol) & ~opens)
            self._add(row[depth], symbol, self._given(position, closed), expansion.column(depth))
            return "end", None
        target_id, rule = self.spelling.follow(symbol, self.ids[position + 1])
        following = self.spelling.following(symbol)
        self._add(target_id, symbol, self.laws[position + 1], following)
        return ("nothing", None) if target_id == NO_TOKEN else (rule, following == target_id)

    def _given(self, position: int, agrees: Tensor | None) -> Tensor:
        law = self.laws[position]
        return law if agrees is None else renormalise(law * agrees)

    def _add_class(self, symbol: int, weights: Tensor, labels: Tensor) -> None:
        self.steps.append(Step(len(self.candidates), symbol, NO_TOKEN, weights, labels, classwise=True))

    def _add(self, target_id: int, within: int, weights: Tensor, labels: Tensor) -> None:
        self.steps.append(Step(len(self.candidates), target_id, within, weights, labels))
        if target_id != NO_TOKEN:
            self.candidates.append(target_id)


def _both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
