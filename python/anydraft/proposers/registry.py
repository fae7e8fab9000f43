"""From a method's name to its strategy."""

from __future__ import annotations

from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.tables import Ids
from anydraft.errors import ArgumentError
from anydraft.proposers.base import Strategy
from anydraft.proposers.ngram import NgramLookup
from anydraft.proposers.pushforward import Pushforward
from anydraft.proposers.slem import StringLevelExactMatch
from anydraft.proposers.slrs.proposer import ClassCoupling
from anydraft.proposers.slrs.tables import ClassTables
from anydraft.proposers.tli import TokenLevelIntersection
from anydraft.sampling.rejection import Rule

Method = Literal["auto", "slem", "tli", "pushforward", "slrs", "lookup"]
"""``"auto"``: what pays: exact match (``slem``) at temperature 0, class coupling (``slrs``) when sampling, or
another; ``"lookup"``: no draft model, only the text itself."""


AnyMethod = Literal[Method, "none"]
"""What one row of several may be told: also that nothing is drafted for it."""

DEFAULT_RULE: dict[str, Rule] = {"tli": "block", "pushforward": "block", "slrs": "token"}
"""What pays: the block rule accepts a little more, and for ``slrs`` it costs more than that brings."""


def check_method(method: str, rule: str | None) -> None:
    """Raise :class:`ArgumentError` for an unknown name."""
    for name, got, known in (("method", method, Method), ("rule", rule, Rule)):
        if got is not None and got not in get_args(known):
            raise ArgumentError(f"got {name}={got!r}; expected one of {', '.join(get_args(known))}")


class Shaped(Protocol):
    """What a strategy has to know of a model."""

    @property
    def vocab_size(self) -> int:
        """Width of its logits."""

    @property
    def device(self) -> torch.device:
        """Where they come out."""


class Strategies:
    """The strategies of one pair, each built when it is first asked for."""

    def __init__(self, bridge: Bridge, target: Shaped, draft: Shaped, rule: Rule | None = None) -> None:
        """``rule``: how blocks are verified where the method has a choice; ``None`` is its default."""
        self._bridge = bridge
        self._width = target.vocab_size
        self._devices: dict[str, Any] = {"draft_device": draft.device, "target_device": target.device}
        self._rule = rule
        self._built: dict[str, Strategy] = {}

    def get(self, method: str) -> Strategy:
        """The strategy of a method.

        Raises:
            PairError: the method cannot propose anything for this pair.
        """
        if method not in self._built:
            self._built[method] = self._build(method)
        return self._built[method]

    def _build(self, name: str) -> Strategy:
        if name == "lookup":
            return NgramLookup(self._bridge.target.encode)
        tables = self._bridge.tables
        rule = self._rule or DEFAULT_RULE.get(name, "token")
        offsets = torch.from_numpy(tables.expansion_offsets)
        if name == "slem":
            return StringLevelExactMatch(offsets.diff() > 0, draft_device=self._devices["draft_device"])
        if name == "tli":
            return TokenLevelIntersection(_tensor(tables.draft_to_target), rule=rule, **self._devices)
        if name == "pushforward":
            ids = torch.from_numpy(tables.expansion_ids)
            return Pushforward(offsets, ids, rule=rule, **self._devices)
        return ClassCoupling(self._class_tables(), self._width, rule=rule, **self._devices)

    def _class_tables(self) -> ClassTables:
        tables, classes = self._bridge.tables, self._bridge.classes
        return ClassTables(
            image=_tensor(tables.draft_to_target),
            offsets=_tensor(tables.expansion_offsets),
            ids=_tensor(tables.expansion_ids),
            **{name: _tensor(array) for name, array in classes.arrays().items()},
        )


def _tensor(array: Ids) -> Tensor:
    return torch.from_numpy(array)
