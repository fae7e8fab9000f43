"""A simulated target with its drafts: pass times and acceptances by rule, to judge a director by."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import LOOKUP, Director


@dataclass
class Told:
    """What a decode took; seconds are in units of one plain pass of the target."""

    emitted: int = 0
    seconds: float = 0.0
    """Of all rounds, but for the target's pass over the prompt."""
    fall: float = 0.0
    """The most seconds that were lost beside plain decoding since the best moment before."""
    longest: float = 0.0
    """Of a round's seconds."""
    used: Counter[str] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)


@dataclass
class World:
    """A target, and what drafts for it."""

    draft: float
    """Seconds of a draft token."""
    acceptance: Mapping[str, float | Callable[[int], float]]
    """The chance that a candidate holds, by method; it may depend on the number of tokens emitted so far."""
    matches: float = 0.0
    """The share of rounds in which a lookup finds something."""
    verify: Callable[[int], float] = lambda fed: 1.0 + 0.02 * (fed - 1)
    width: float = 1.0
    """Candidates for each draft token."""
    reading: float = 0.0
    """Seconds for each id that the draft has not read, from the ninth on."""
    noise: float = 0.0
    outliers: float = 0.0
    """Share of passes that take five times as long."""
    slow: float = 0.0
    """Share of blocks whose draft takes ten times as long: below a half, no median shows them."""
    rest: float = 0.02
    seed: int = 0

    def run(self, director: Director, tokens: int, prompt: int = 50) -> Told:
        """Decode so many tokens after a prompt of so many ids."""
        chance, told = random.Random(self.seed), Told()
        fed_before, behind, lost, best = prompt, prompt, 0.0, 0.0

        def took(seconds: float) -> float:
            slow = 5.0 if chance.random() < self.outliers else 1.0
            return seconds * slow * (1 + self.noise * (2 * chance.random() - 1))

        while told.emitted < tokens:
            limit = tokens - told.emitted - 1
            choice = director.choose(limit, behind, 40 if chance.random() < self.matches else 0)
            method, asked = (choice.method, min(choice.length, limit)) if choice else ("none", 0)
            lookup = method == LOOKUP
            proposed = asked if lookup else min(int(asked * self.width + chance.random()), limit)
            rule = self.acceptance.get(method, 0.0)
            held = 0
            while held < proposed and chance.random() < (rule(told.emitted) if callable(rule) else rule):
                held += 1
            reading = self.reading * behind if behind > 8 else 0.0
            draft = took(self.draft * asked + reading) if asked and not lookup else 0.0
            draft *= 10 if self.slow and chance.random() < self.slow else 1
            target = took(self.verify(1 + proposed))
            read = 0.1 * fed_before if fed_before > 1 else 0.0
            seconds = draft + target + self.rest
            backlog = 1 if lookup else behind
            fed, emitted = fed_before + proposed, held + 1
            director.observe(
                choice, Round(asked, proposed, held, emitted, fed, backlog, target + read, seconds + read)
            )
            behind = held + 1 if not asked or lookup else 1
            behind += backlog if lookup and backlog > 1 else 0
            fed_before = 1
            told.emitted += emitted
            told.seconds += seconds
            told.longest = max(told.longest, seconds)
            told.used[method] += 1
            told.lengths[asked] += 1
            lost += seconds - emitted * self.plain
            best = min(best, lost)
            told.fall = max(told.fall, lost - best)
        return told

    def speed(self, director: Director, tokens: int, prompt: int = 50) -> float:
        """As a multiple of plain decoding, outliers included."""
        told = self.run(director, tokens, prompt)
        return told.emitted * (self.plain + 4 * self.outliers) / told.seconds

    @property
    def plain(self) -> float:
        """Seconds of a round of the target alone."""
        return self.verify(1) + self.rest
