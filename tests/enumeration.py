"""The exact test of losslessness: walk every branch of a strategy and add up what it emits."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from anydraft.drafting.protocol import Block, DraftContext, Strategy
from torch import Tensor
from toys import ToyModel, ToyPair

Result = TypeVar("Result")
Emitted = dict[tuple[int, ...], float]

PROMPT = (1,)
"""Target ids of the toy prompt."""


class EnumeratingRandomness:
    """Answers from a script, then the first possible answer; remembers what else was possible."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.options: list[int] = []
        self.choices: list[int] = []
        self.probability = 1.0

    def draw(self, law: Tensor) -> Tensor:
        rows = law.reshape(-1, law.shape[-1]).tolist()
        assert all(abs(sum(row) - 1) < 1e-9 and min(row) >= 0 for row in rows), "a law must sum to 1"
        return torch.tensor([self._choose(row) for row in rows]).view(law.shape[:-1])

    def coins(self, probabilities: Tensor) -> Tensor:
        assert all(0 <= p <= 1 for p in probabilities.tolist()), "a coin's probability must lie in [0, 1]"
        return torch.tensor([self._choose([1 - p, p]) for p in probabilities.tolist()], dtype=torch.bool)

    def _choose(self, law: list[float]) -> int:
        support = [i for i, p in enumerate(law) if p > 0]
        step = len(self.choices)
        pick = self.script[step] if step < len(self.script) else 0
        self.choices.append(pick)
        self.options.append(len(support))
        self.probability *= law[support[pick]]
        return support[pick]


def branches(run: Callable[[EnumeratingRandomness], Result]) -> Iterator[tuple[float, Result]]:
    """Every outcome of ``run`` with its probability, by replaying it once per branch."""
    scripts: list[list[int]] = [[]]
    while scripts:
        oracle = EnumeratingRandomness(scripts.pop())
        result = run(oracle)
        yield oracle.probability, result
        for step in range(len(oracle.script), len(oracle.choices)):
            scripts += [[*oracle.choices[:step], other] for other in range(1, oracle.options[step])]


class World:
    """A pair, two random models and a strategy: the law of what the decoding loop emits."""

    def __init__(
        self, pair: ToyPair, strategy: Strategy, seed: int, draft_law: Callable[[Tensor], Tensor]
    ) -> None:
        self.pair = pair
        self.strategy = strategy
        self.target = ToyModel(len(pair.target), seed)
        self.draft = ToyModel(len(pair.draft) + 1, seed + 100)  # one padded column
        self.draft_law = draft_law
        self._rounds: dict[tuple[tuple[int, ...], int], Emitted] = {}

    def round(self, prefix: tuple[int, ...], gamma: int) -> Emitted:
        """The law of what one round emits after ``prefix``."""
        if (prefix, gamma) not in self._rounds:
            emitted: Emitted = defaultdict(float)
            for drafted, (block, laws) in branches(lambda oracle: self._draft(prefix, gamma, oracle)):
                fed = block.candidates.tolist()
                for chance, verdict in branches(lambda oracle: self.strategy.verify(block, laws, oracle)):  # noqa: B023
                    accepted, following = verdict.tolist()
                    emitted[(*fed[:accepted], following)] += drafted * chance
            self._rounds[prefix, gamma] = dict(emitted)
        return self._rounds[prefix, gamma]

    def emitted(self, horizon: int, gamma: int, prefix: tuple[int, ...] = PROMPT) -> Emitted:
        """The law of the first ``horizon`` tokens that the loop emits after ``prefix``.

        The first round drafts ``gamma`` tokens, later ones no more than are still wanted.
        """
        if horizon <= 0:
            return {(): 1.0}
        law: Emitted = defaultdict(float)
        for tokens, chance in self.round(prefix, gamma).items():
            rest = horizon - len(tokens)
            for more, p in self.emitted(rest, min(gamma, max(rest, 1)), prefix + tokens).items():
                law[(tokens + more)[:horizon]] += chance * p
        return law

    def distance(self, horizon: int, gamma: int) -> float:
        """Total variation between what the loop emits and the target alone."""
        emitted = self.emitted(horizon, gamma)
        return 0.5 * sum(
            abs(emitted.get(tokens, 0.0) - self._alone(tokens))
            for tokens in itertools.product(range(len(self.pair.target)), repeat=horizon)
        )

    def _alone(self, tokens: tuple[int, ...]) -> float:
        return (
            torch.stack([self.target.law(PROMPT + tokens[:i])[t] for i, t in enumerate(tokens)]).prod().item()
        )

    def _draft(
        self, prefix: tuple[int, ...], gamma: int, oracle: EnumeratingRandomness
    ) -> tuple[Block, Tensor]:
        self.draft.crop(0)
        context = DraftContext(
            model=self.draft,
            pending=torch.tensor(self.pair.view(prefix)),
            law=self.draft_law,
            speller=self.pair,
            target_device=torch.device("cpu"),
            target_width=len(self.pair.target),
        )
        block = self.strategy.draft(context, gamma, oracle)
        fed = (*prefix, *block.candidates.tolist())
        laws = [self.target.law(fed[:length]) for length in range(len(prefix), len(fed) + 1)]
        return block, torch.stack(laws)
