"""A simulated pair of models: pass times and acceptances by rule, to judge a drafting policy by."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from anydraft.scheduling.lookahead import Policy
from anydraft.scheduling.rounds import Round


@dataclass
class Simulation:
    """A target and a draft; seconds are in units of one plain pass of the target."""

    draft: float
    """Seconds of a draft pass."""
    acceptance: Callable[[float], float]
    """The chance that a drafted token holds, by the number of tokens emitted so far."""
    verify: Callable[[int], float] = lambda fed: 1.0 + 0.02 * (fed - 1)
    ratio: float = 1.0
    """Candidates per draft token."""
    overhead: float = 0.02
    noise: float = 0.05
    outliers: float = 0.02
    """Share of passes that take five times as long."""
    seed: int = 0
    clock: float = field(default=0.0, init=False)

    def run(self, policy: Policy, tokens: int, *, prompt: int = 50) -> float:
        """Decode so many tokens; the speed as a multiple of plain decoding."""
        chance = random.Random(self.seed)

        def took(seconds: float) -> float:
            slow = 5.0 if chance.random() < self.outliers else 1.0
            return seconds * slow * (1 + self.noise * (2 * chance.random() - 1))

        emitted, seconds, plain, fed_before, behind = 0, 0.0, 0.0, prompt, prompt
        while emitted < tokens:
            limit = tokens - emitted - 1
            asked = min(policy.choose(limit, behind), limit)
            proposed = min(round(asked * self.ratio), limit)
            held = 0
            while held < proposed and chance.random() < self.acceptance(emitted + held):
                held += 1
            reading = 0.1 * self.draft * behind if asked and behind > 8 else 0.0
            draft = took(self.draft * asked + reading) if asked else 0.0
            target = took(self.verify(fed_before + proposed) if fed_before == 1 else 5.0)
            whole = draft + target + self.overhead
            policy.observe(
                Round(
                    asked,
                    asked,
                    proposed,
                    held,
                    held + 1,
                    fed_before + proposed,
                    behind,
                    draft,
                    target,
                    whole,
                )
            )
            behind = 1 if asked else behind + held + 1
            emitted += held + 1
            seconds += whole
            plain += (held + 1) * (1 + self.overhead) * (1 + 4 * self.outliers) if fed_before == 1 else whole
            fed_before = 1
        return plain / seconds
