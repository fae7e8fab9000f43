"""Which draft to use next, and for how many tokens: a method, a look into the text, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from anydraft.scheduling.lookahead import REFRESH, Fixed, Lookahead, Policy, Stop
from anydraft.scheduling.plan import Plan
from anydraft.scheduling.rounds import Clock, Pace, Round

Times = Literal["measured", "nominal"]
"""What decides how blocks are drafted: clocks, or what passes should take by their weights."""

LOOKUP = "lookup"
"""The method that proposes what followed in the text before."""

MATCHES = ((8, 0.4), (16, 0.6), (32, 0.8))
"""Bytes from which on a match counts as longer, and what is expected of its first candidate."""

LONGEST_LOOKUP = 20
"""Candidates cost no draft pass, only a wider pass of the target."""

MOST = 3
"""Methods that a plan is asked for: trials of more would cost more than they bring."""

TRIAL = 48
"""After so many drafted rounds with one method, another that comes near gets a trial."""

TRIED = 3
"""Rounds of a trial."""

PAUSE = 3
"""After a round in which no draft promised anything, so many go by before drafts are asked again."""

NEAR = 0.85
"""Only a method that promises this share of the best one's speed gets a trial."""


_DEFAULT = {"greedy": ("slem",), "sampling": ("slrs", "tli")}
"""Methods that ``"auto"`` takes without a plan."""


class Choice(NamedTuple):
    """How the next block is drafted."""

    method: str
    length: int
    match: int = 0
    """Bytes of the match that a lookup goes by."""


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

    def stop(self, choice: Choice) -> Stop | None:
        """When to end that block early."""

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """Note a finished round."""


class Single:
    """One method always, for as many tokens as a policy says."""

    def __init__(self, method: str, policy: Policy, nominal: float | None = None) -> None:
        """A ``"lookup"`` drafts where it matches. ``nominal``: see :class:`Mixture`."""
        self.method = method
        self.policy = policy
        self._nominal = nominal

    @property
    def methods(self) -> Sequence[str]:
        """See :class:`Director`."""
        return (self.method,)

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """See :class:`Director`."""
        if not match if self.method == LOOKUP else backlog is None:
            return None
        length = self.policy.choose(limit, 1 if self.method == LOOKUP or backlog is None else backlog)
        return Choice(self.method, length, match) if length > 0 else None

    def stop(self, choice: Choice) -> Stop | None:
        """See :class:`Director`."""
        return self.policy.stop() if self.method != LOOKUP else None

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """See :class:`Director`."""
        self.policy.observe(seen if self._nominal is None else seen.nominal(self._nominal))


class Mixture:
    """Several methods that draft with one model, and lookups; what pays best is used.

    All of them are exact, and the choice depends on the past alone, so the output's law is the target's.
    """

    def __init__(
        self,
        methods: Sequence[str],
        *,
        cost: float = 0.2,
        acceptance: Mapping[str, float] | None = None,
        nominal: float | None = None,
    ) -> None:
        """``methods``: the first is used where nothing speaks against it.

        ``cost``: a draft pass as a share of a target pass, until measured; ``acceptance``: of the first
        draft token of each method, as it was measured on other text. It fades while nothing is drafted, so
        that a draft that did badly there gets its trials here. ``nominal``: learn from what rounds would
        have taken by weights, a draft pass being that share of a target pass; then no clock has a say, and
        the same past makes the same choice on every run.
        """
        self.clock = Clock()
        self._nominal = nominal
        self.pace = Pace(cost)
        self.drafts = {name: Lookahead(self.clock, self.pace) for name in methods}
        for name, chance in (acceptance or {}).items():
            self.drafts[name].expected.suppose(chance)
        free = Pace(0.0)
        free.passes.append(0.0)
        self.lookups = [
            Lookahead(self.clock, free, longest=LONGEST_LOOKUP, acceptance=chance) for _, chance in MATCHES
        ]
        self._method = methods[0] if methods else LOOKUP
        self._rounds = 0
        self._pause = 0

    @classmethod
    def by(cls, plan: Plan) -> Mixture:
        """Start from what was measured: methods, acceptances and pass times; rounds refine all of them."""
        methods = [name for name in plan.ranking() if name != LOOKUP][:MOST]
        accepted = {name: plan.reach[name].first for name in methods}
        made = cls(methods, cost=plan.step / plan.verify[1], acceptance=accepted)
        for size, seconds in plan.verify.items():
            made.clock.target.add(size, seconds)
        for _ in range(2):
            made.clock.rest.add(1, max(plan.plain - plan.verify[1], 0.0))
        if methods:
            made.pace.passes.append(plan.step)
        return made

    @property
    def methods(self) -> Sequence[str]:
        """See :class:`Director`."""
        return (LOOKUP, *self.drafts)

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """See :class:`Director`."""
        plain = self.clock.plain()
        if not plain or limit < 1 or self.clock.since_plain >= REFRESH:  # a coarse clock may say 0
            return None
        if not self.clock.account.affords(0.0, plain):
            return None
        best, rate = None, 1 / plain
        if match:
            promise = self._lookup(match).best(limit)
            if promise.rate > rate:
                best, rate = Choice(LOOKUP, promise.length, match), promise.rate
        self._pause -= 1
        if backlog is not None and self.drafts and self._pause < 0:
            method = self._pick(limit, backlog)
            promise = self.drafts[method].best(limit, backlog)
            if promise.rate > rate:
                best = Choice(method, promise.length)
            elif best is None and self.drafts[method].first_try(limit, backlog):
                best = Choice(method, 1)
            self._pause = PAUSE if best is None else 0
        return best

    def stop(self, choice: Choice) -> Stop | None:
        """See :class:`Director`."""
        return self.drafts[choice.method].stop() if choice.method != LOOKUP else None

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """See :class:`Director`."""
        if self._nominal is not None:
            seen = seen.nominal(self._nominal)
        self.clock.observe(seen)
        if choice is None or seen.plain:
            for draft in (*self.drafts.values(), *self.lookups):
                draft.idle()
        elif choice.method == LOOKUP:
            self._lookup(choice.match).learn(seen)
        else:
            self._rounds += 1
            self._method = choice.method
            self.drafts[choice.method].learn(seen)

    def _lookup(self, match: int) -> Lookahead:
        return self.lookups[max(sum(match >= least for least, _ in MATCHES) - 1, 0)]

    def _pick(self, limit: int, backlog: int) -> str:
        """The method that promises most, or one that comes near and is due for a trial."""
        names = list(self.drafts)
        rates = {name: self.drafts[name].best(limit, backlog).rate for name in names}
        leader = max(names, key=lambda name: (rates[name], name == self._method))
        turn, place = divmod(self._rounds, TRIAL)
        if turn == 0 or place >= TRIED:
            return leader
        others = [name for name in names if name != leader and rates[name] >= NEAR * rates[leader]]
        return others[turn % len(others)] if others else leader


class Directors:
    """What the decodes of one pair have learnt, kept from one to the next.

    Greedy decodes and samples have one each, and so have batches of different sizes and drafts with and
    without their whole head, whose passes take different times.
    """

    def __init__(
        self,
        method: str,
        length: int | Literal["auto"],
        cost: float,
        plan: Callable[[str], Plan | None] = lambda _: None,
    ) -> None:
        """``length``: a number of draft tokens, or ``"auto"``; ``cost``: see :class:`Mixture`.

        ``plan``: from ``"greedy"`` or ``"sampling"`` to what was measured of the pair.
        """
        self.method = method
        self.length = length
        self.cost = cost
        self._plan = plan
        self._made: dict[tuple[bool, int, str], Director] = {}

    def get(self, *, greedy: bool, rows: int = 1, head: str = "full") -> Director:
        """The director of decodes of so many rows at once, with a draft head of that kind."""
        key = greedy, rows, head
        if key not in self._made:
            kind: Literal["greedy", "sampling"] = "greedy" if greedy else "sampling"
            self._made[key] = self._make(_DEFAULT[kind], self._plan(kind) if rows == 1 else None)
        return self._made[key]

    def repeatable(self) -> Director:
        """A fresh director for a sample that a seed is to repeat, at any time and in any process."""
        return self._make(_DEFAULT["sampling"], None, self.cost)

    def _make(self, default: tuple[str, ...], plan: Plan | None, nominal: float | None = None) -> Director:
        if self.length == "auto" and self.method == "auto":
            return Mixture(default, cost=self.cost, nominal=nominal) if plan is None else Mixture.by(plan)
        method = default[0] if self.method == "auto" else self.method
        cost = 0.0 if method == LOOKUP else self.cost
        policy = Lookahead(pace=Pace(cost)) if self.length == "auto" else Fixed(self.length)
        return Single(method, policy, nominal)
