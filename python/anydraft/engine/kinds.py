"""A director for each kind of decode, kept so that the next decode of its kind begins with what it learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from anydraft.proposers.registry import AnyMethod, Method, check_method
from anydraft.scheduling.directors import LOOKUP, NONE, Director, Times, director
from anydraft.scheduling.plan import Plan, find


class Kind(NamedTuple):
    """Decodes whose passes take the same times."""

    greedy: bool
    rows: int
    """That share the target's passes."""
    trimmed: bool
    """Whether the draft computes a part of its head alone."""
    trees: bool = False
    """Whether the target may be shown trees: not where rows share its passes."""

    @property
    def name(self) -> Literal["greedy", "sampling"]:
        """What plans call it."""
        return "greedy" if self.greedy else "sampling"


class Directors:
    """What decides how much is drafted, for all decodes of one pair."""

    def __init__(
        self,
        method: Method,
        length: int | Literal["auto"],
        cost: float,
        ahead: int,
        plan: Plan | None,
        identity: Callable[[], Mapping[str, str]],
    ) -> None:
        """``cost``: of a draft pass, target pass 1, until it is measured.

        ``ahead``: tokens that one pass of the draft proposes. ``plan``: what was measured; by default what is
        stored under the ``identity``.
        """
        self.method, self.length = method, length
        self._cost, self._ahead, self._plan, self._identity = cost, ahead, plan, identity
        self._made: dict[tuple[str, Kind], Director] = {}

    def checked(self, method: AnyMethod | None) -> AnyMethod:
        """The method of a row, ours by default; :class:`ArgumentError` if there is no such."""
        if method is None:
            return self.method
        if method != NONE:
            check_method(method, None)
        return method

    def looks_up(self, method: AnyMethod) -> bool:
        """Whether n-gram lookups are among what may be drafted."""
        return method == LOOKUP or (method == "auto" and self.length == "auto")

    def find(self, times: Times, kind: Kind, method: AnyMethod) -> Director:
        """What decides for decodes of a kind.

        A sample that a seed is to repeat, in any process, has a fresh one: ``times="nominal"``.
        """
        if times == "nominal":
            return director(method, self.length, kind.name, self._cost, times=times, ahead=self._ahead)
        if (method, kind) not in self._made:
            plan = self.planned(kind.name) if kind.rows == 1 else None
            self._made[method, kind] = director(
                method, self.length, kind.name, self._cost, plan=plan, ahead=self._ahead
            )
        return self._made[method, kind]

    def planned(self, kind: str) -> Plan | None:
        """What was measured for greedy or for sampling decodes."""
        if self._plan is not None:
            return self._plan if self._plan.kind == kind else None
        return find(dict(self._identity()), kind)
