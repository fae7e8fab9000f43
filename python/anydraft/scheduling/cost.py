"""What a round costs and brings: the one model by which it is decided what is drafted.

A block of ``n`` draft tokens becomes ``k`` candidates, each of which is accepted with chance ``a`` if the one
before it was. The round is expected to emit ``tokens`` and to take ``seconds``::

    k       = n * width
    tokens  = 1 + a + a^2 + ... + a^k
    seconds = work(n) * step + verify(1 + k * spread) + rest
    price   = seconds / tokens + catching up / tokens left

``step`` is what a draft token takes outside the target's pass, ``work`` the number of tokens, or less of a
draft that draws several from one pass, ``verify`` the target's pass by tokens fed,
``spread`` the candidates of a tree for each of its longest path (1 of a line), ``rest`` what a round of the
target alone takes outside its pass, ``catching up`` what the draft takes to read what it has not. The way and
the length of the least price are drafted, if it is less than that of the target alone,
``plain = verify(1) + rest``. Seconds are medians of the latest rounds; ``a``, ``width`` and ``spread`` are
shares that fade to what was expected before anything was seen. What is emitted in other rounds tells how much
of a lookup would have held, so ``a`` of lookups learns from all.

Estimates err, so each way to draft has an account too: ``lost`` is the measured time of its rounds, reading
included, less the time in which the target alone would have emitted as many tokens. It drafts only while
``lost <= share of ALLOWANCE * elapsed + GRACE * plain``. Plain numbers, no torch.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MEMORY = 0.95
"""Weight of a round one round later: about the last twenty count."""

LATEST = 9
"""Measured times of each kind that a median is taken over."""

REFRESH = 128
"""One round in so many goes without a draft, to keep the plain time known."""

ALLOWANCE, GRACE = 0.02, 5.0
"""What drafting may lose: a share of all time, for all ways to draft together, and for each of them so many
plain rounds at once. As many of its past gains may be lost again."""

DRAFTED, LOOKED_UP = range(1, 9), range(1, 17)
"""Lengths of blocks: a candidate of a lookup costs no draft pass, only a wider one of the target."""

LONG = 8
"""Ids of a backlog beyond which to read it is a cost of its own. What was drafted from one pass was not read:
so many more are short."""

WIDER = 0.03
"""What another token fed adds to a pass, as a share, where that was not measured."""

REACHES = (4, 8, 16)
"""Tokens over which it is asked what one more costs: a pass may be flat up to a size and dear beyond it."""

BESIDE = 0.15
"""What a draft token takes that is drawn from a pass which gave one before, as a share of that one."""


def work(drafted: int, ahead: int) -> float:
    """What a block takes to draft, in tokens drawn one by one; ``ahead``: so many come from one pass."""
    passes = -(-drafted // ahead)
    return passes + BESIDE * (drafted - passes)


@dataclass(frozen=True)
class Round:
    """What one round took and brought."""

    drafted: int
    """Draft tokens drawn; of a lookup, candidates."""
    proposed: int
    """Candidates that could have held: all of a line, the longest path of a tree."""
    accepted: float
    """Candidates that held."""
    emitted: float
    """Tokens emitted."""
    fed: int
    """Tokens fed to the target: all candidates and one; more where it still had to read the prompt, or reads
    accepted tokens again because its states cannot be cropped."""
    backlog: int
    """Ids that the draft had to read before it could draw: in the middle of a text 1 or 2, or as many more as
    it drew from its last pass."""
    target_seconds: float
    """The target's pass."""
    seconds: float
    """The whole round."""
    verified: int | None = None
    """Candidates in the target's pass, of a tree; ``None``: those ``proposed``."""
    judged: float | None = None
    """Candidates whose predecessors held, a mean over rows; ``None``: all accepted, and one more where more
    could have held: the one rejected, or what a path of a tree lacks that ended before the longest."""
    beside: tuple[int, float] = (0, 0.0)
    """Of the candidates beside the line how many held, and how many would have if the draft's chances were
    right."""
    foreseen: tuple[int, int] | None = None
    """Where a lookup would have proposed something and another way was taken: how many of its candidates were
    then emitted, and how many there were to compare up to the first that was not."""

    @property
    def prompt(self) -> bool:
        """Whether the target's time says nothing of such rounds: it read a prompt, or a plain round read more
        than its one token.
        """
        return self.fed > self.size + (LONG if self.size else 1)

    @property
    def size(self) -> int:
        """Candidates in the target's pass."""
        return self.proposed if self.verified is None else self.verified

    def nominal(self, step: float, ahead: int = 1) -> Round:
        """The same by weights: a pass over one token takes 1, ``step`` for the draft, and reading nothing."""
        target = 1 + WIDER * self.size
        return replace(self, target_seconds=target, seconds=target + step * work(self.drafted, ahead))


class Ratio:
    """A ratio of two sums that fade, so that it goes back to where it began."""

    def __init__(self, start: float, weight: float) -> None:
        """``weight``: what the start counts, beside what is added."""
        self._start, self._weight = start, weight
        self._above = self._below = 0.0

    def add(self, above: float, below: float) -> None:
        """Count more."""
        self._above += above
        self._below += below

    def fade(self, memory: float) -> None:
        """Let what was counted so far count less."""
        self._above *= memory
        self._below *= memory

    @property
    def value(self) -> float:
        """The ratio."""
        return (self._above + self._weight * self._start) / (self._below + self._weight)


def latest() -> deque[float]:
    """Where measured times are kept."""
    return deque(maxlen=LATEST)


@dataclass
class Arm:
    """One way to draft: what it costs, how often it is right, and what it has lost."""

    lengths: range
    """Draft tokens that a block may have."""
    cost: float
    """A draft token's cost as a share of a pass of the target, until measured."""
    ahead: int = field(default=1, kw_only=True)
    """Draft tokens that come from one pass."""
    acceptance: Ratio = field(default_factory=lambda: Ratio(0.65, 1.0))
    width: Ratio = field(default_factory=lambda: Ratio(1.0, 2.0))
    """Candidates that may hold for each draft token."""
    spread: Ratio = field(default_factory=lambda: Ratio(1.0, 2.0))
    """Candidates in the target's pass for each that may hold: more than one of a tree."""
    trust: Ratio = field(default_factory=lambda: Ratio(0.5, 1.0))
    """Candidates beside the line that hold for each that was expected to by the draft's chances."""
    steps: deque[float] = field(default_factory=latest)
    """Seconds of a draft token that has a pass to itself."""
    reading: float | None = None
    """Seconds for each id of a long backlog, as last measured."""
    lost: float = 0.0
    """Seconds lost beside plain decoding."""


class CostModel:
    """Learns from rounds what each way to draft costs and brings."""

    def __init__(self, arms: Mapping[str, Arm], memory: float | None = None) -> None:
        """``arms``: the ways to draft by name; ``memory``: 1 in place of :data:`MEMORY` forgets nothing."""
        self.arms = dict(arms)
        self.verify: dict[int, float] = {}
        """Seconds of a pass of the target by tokens fed, where measured."""
        self.rest = latest()
        """Seconds of rounds without a draft outside the target's pass."""
        self.since_plain = 0
        """Rounds since the last one without a draft."""
        self._memory = MEMORY if memory is None else memory
        self._passes: dict[int, deque[float]] = {}
        self._rounds = 0
        self._reading = self._elapsed = 0.0

    def plain(self) -> float | None:
        """Seconds of a round without a draft; ``None`` before two were measured. A coarse clock may say 0."""
        return self.target(1) + statistics.median(self.rest) if len(self.rest) > 1 else None

    def target(self, fed: float) -> float:
        """Seconds of a pass of the target, of which some were measured."""
        return interpolated(self.verify, fed)

    def step(self, arm: Arm) -> float:
        """Seconds of a draft token that has a pass to itself."""
        return statistics.median(arm.steps) if arm.steps else arm.cost * self.target(1)

    def catching_up(self, arm: Arm, backlog: int) -> float:
        """Seconds for the draft to read a long backlog; until measured, its share of what the target took."""
        if backlog < LONG + arm.ahead:
            return 0.0
        read = arm.cost * (self._reading or WIDER * self.target(1)) if arm.reading is None else arm.reading
        return backlog * read

    def best(self, arm: Arm, limit: int, backlog: int) -> tuple[float, int]:
        """The least price and its length, 0 where nothing may be drafted; ``limit``: most candidates."""
        best, plain = (math.inf, 0), self.plain()
        if plain is None or limit < 1:
            return best
        late, step, rest = self.catching_up(arm, backlog), self.step(arm), plain - self.target(1)
        if arm.lost + late > ALLOWANCE / len(self.arms) * self._elapsed + GRACE * plain:
            return best
        width, accepted, spread = arm.width.value, arm.acceptance.value, arm.spread.value
        for length in arm.lengths[: max(0, limit + 1 - arm.lengths.start)]:
            candidates = min(length * width, limit)
            seconds = work(length, arm.ahead) * step + self.target(1 + candidates * spread) + rest
            best = min(best, (seconds / tokens(accepted, candidates) + late / limit, length))
        return best

    def pays(self, arm: Arm, length: int, price: float) -> float:
        """The chance, by the draft, from which on another candidate beside a line brings more than it costs.

        It brings as many tokens as its chance says, corrected by how such chances have held. It costs what it
        adds to the pass over a line of ``length`` draft tokens, and pays where that is less a token than
        ``price``.
        """
        fed = 1 + length * arm.width.value
        more = max((self.target(fed + reach) - self.target(fed)) / reach for reach in REACHES)
        return max(0.0, more) / max(price * arm.trust.value, 1e-12)

    def add_pass(self, fed: int, seconds: float) -> None:
        """Note a pass of the target."""
        passes = self._passes.setdefault(fed, latest())
        passes.append(seconds)
        self.verify[fed] = statistics.median(passes)

    def observe(self, name: str | None, seen: Round) -> None:
        """Note a finished round that was drafted in that way, or not at all."""
        arm = self.arms[name] if name is not None and seen.drafted else None
        for each in self.arms.values():
            each.acceptance.fade(self._memory)
        if seen.fed > seen.size + LONG:
            self._reading = seen.target_seconds / seen.fed
        elif not seen.prompt:
            self.add_pass(1 + seen.size, seen.target_seconds)
        self.since_plain += 1
        self._rounds += 1
        if self._memory < 1 and self._rounds % LATEST == 0:
            self._forget()
        if arm is not None:
            self._learn(arm, seen)
        elif not seen.prompt:
            self.since_plain = 0
            self.rest.append(seen.seconds - seen.target_seconds)
            self._elapsed += seen.seconds

    def _forget(self) -> None:
        """Drop the oldest of the times that only drafts renew: one slow spell must not end them for good."""
        for times in (passes for fed, passes in self._passes.items() if fed > 1 and passes):
            times.popleft()
        self.verify = {fed: statistics.median(passes) for fed, passes in self._passes.items() if passes}
        for arm in self.arms.values():
            if arm.steps:
                arm.steps.popleft()
            else:
                arm.reading = None

    def _learn(self, arm: Arm, seen: Round) -> None:
        judged = min(seen.accepted + 1, seen.proposed) if seen.judged is None else seen.judged
        arm.acceptance.add(seen.accepted, judged)
        arm.width.fade(self._memory)
        arm.width.add(seen.proposed, seen.drafted)
        arm.spread.fade(self._memory)
        arm.spread.add(seen.size, seen.proposed)
        arm.trust.fade(self._memory)
        arm.trust.add(*seen.beside)
        plain = self.plain()
        if plain is None:
            return
        draft = max(0.0, seen.seconds - seen.target_seconds - statistics.median(self.rest))
        if seen.backlog < LONG + arm.ahead:
            arm.steps.append(draft / work(seen.drafted, arm.ahead))
        elif arm.steps or arm.cost:
            arm.reading = max(0.0, draft - work(seen.drafted, arm.ahead) * self.step(arm)) / seen.backlog
        else:  # nothing is known of a step: an id that is read takes its usual share of one
            arm.reading = WIDER * draft / (work(seen.drafted, arm.ahead) + WIDER * seen.backlog)
        target = self.target(1 + seen.size) if seen.prompt else seen.target_seconds
        seconds = seen.seconds - seen.target_seconds + target
        self._elapsed += seconds
        arm.lost = max(arm.lost + seconds - seen.emitted * plain, -GRACE * plain)


def tokens(acceptance: float, candidates: float) -> float:
    """Expected tokens of a round: ``1 + a + a^2 + ... + a^k``, for any ``k >= 0``."""
    if acceptance > 0.999:
        return 1 + candidates
    return float((1 - acceptance ** (candidates + 1)) / (1 - acceptance))


def interpolated(seconds: Mapping[int, float], size: float) -> float:
    """Seconds at a size by those at others: on lines between neighbours, and by :data:`WIDER` beyond them."""
    sizes = sorted(seconds)
    right = min(bisect_left(sizes, size), len(sizes) - 1)
    low, high = sizes[max(right - 1, 0)], sizes[right]
    if size > high or size <= low:
        nearest = high if size > high else low
        return seconds[nearest] * (1 + WIDER * (size - 1)) / (1 + WIDER * (nearest - 1))
    return seconds[low] + (seconds[high] - seconds[low]) * (size - low) / (high - low)
