"""The exact test of losslessness: walk every branch of a strategy and add up what it emits."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from anydraft.proposers.base import Block, DraftContext, Strategy
from anydraft.sampling.laws import to_law
from placed import DEVICE
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
        self.drawn: tuple[int, list[float]] | None = None  # answer and law of the last use, if it was a draw

    def draw(self, law: Tensor) -> Tensor:
        rows = law.reshape(-1, law.shape[-1]).tolist()
        assert all(abs(sum(row) - 1) < 1e-5 and min(row) >= 0 for row in rows), "a law must sum to 1"
        answers = [self._choose(row) for row in rows]
        self.drawn = (answers[-1], rows[-1])
        return torch.tensor(answers, device=law.device).view(law.shape[:-1])

    def coins(self, probabilities: Tensor) -> Tensor:
        assert all(0 <= p <= 1 for p in probabilities.tolist()), "a coin's probability must lie in [0, 1]"
        self.drawn = None
        heads = [bool(self._choose([1 - p, p])) for p in probabilities.tolist()]
        return torch.tensor(heads, dtype=torch.bool, device=probabilities.device)

    def _choose(self, law: list[float]) -> int:
        support = [i for i, p in enumerate(law) if p > 0]
        step = len(self.choices)
        pick = self.script[step] if step < len(self.script) else 0
        self.choices.append(pick)
        self.options.append(len(support))
        self.probability *= law[support[pick]]
        return support[pick]


def branches(
    run: Callable[[EnumeratingRandomness], Result],
    *,
    fixed: int = 0,
    make: Callable[[list[int]], EnumeratingRandomness] = EnumeratingRandomness,
) -> Iterator[tuple[EnumeratingRandomness, Result]]:
    """Every outcome of ``run``, by replaying it per branch; the last ``fixed`` choices stay the first."""
    scripts: list[list[int]] = [[]]
    while scripts:
        oracle = make(scripts.pop())
        result = run(oracle)
        yield oracle, result
        for step in range(len(oracle.script), len(oracle.choices) - fixed):
            scripts += [[*oracle.choices[:step], other] for other in range(1, oracle.options[step])]


def verdicts(
    verify: Callable[[EnumeratingRandomness], Tensor], *, quick: bool
) -> Iterator[tuple[float, int, int]]:
    """Every verdict: its probability, the number accepted, the token after.

    ``quick`` is for code that ends by drawing the next token and hands it on: one run serves all answers.
    """
    for oracle, verdict in branches(verify, fixed=1 if quick else 0):
        accepted, following = verdict.tolist()
        if not quick:
            yield oracle.probability, accepted, following
            continue
        assert oracle.drawn is not None, "the last use of chance must be a draw"
        answer, law = oracle.drawn
        assert following == answer, "the last draw must be the token that follows"
        for token, p in enumerate(law):
            if p > 0:
                yield oracle.probability / law[answer] * p, accepted, token


class World:
    """A pair, two random models and a strategy: the law of what the decoding loop emits."""

    def __init__(
        self,
        pair: ToyPair,
        strategy: Strategy,
        seed: int,
        draft_law: Callable[[Tensor], Tensor] = to_law,
        *,
        limit: int | None = None,
        padding: int = 0,
        quick: bool = True,
        dtype: torch.dtype = torch.float64,
        target_law: Callable[[Tensor], Tensor] = to_law,
    ) -> None:
        """``limit``: most candidates of a block; ``padding``: columns of the target without a token.

        ``draft_law`` and ``target_law``: what processing makes of logits.
        """
        self.pair = pair
        self.strategy = strategy
        self.width = len(pair.target) + padding
        self.target = ToyModel(self.width, seed)
        self.draft = ToyModel(len(pair.draft) + 1, seed + 100)  # one padded column
        self.draft_law = draft_law
        self.limit = limit
        self.quick = quick
        self.dtype = dtype
        self.target_law = target_law
        self._rounds: dict[tuple[tuple[int, ...], int], Emitted] = {}

    def round(self, prefix: tuple[int, ...], gamma: int) -> Emitted:
        """The law of what one round emits after ``prefix``."""
        if (prefix, gamma) not in self._rounds:
            emitted: Emitted = defaultdict(float)
            for oracle, (block, laws) in branches(partial(self._draft, prefix, gamma)):
                fed = block.candidates.tolist()
                verify = partial(self.strategy.verify, block, laws)
                for chance, accepted, following in verdicts(verify, quick=self.quick):
                    emitted[(*fed[:accepted], following)] += oracle.probability * chance
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

    def tokens_per_round(self, gamma: int) -> float:
        """Block efficiency of the first round: the expected number of tokens it emits."""
        return sum(len(tokens) * p for tokens, p in self.round(PROMPT, gamma).items())

    def distance(self, horizon: int, gamma: int) -> float:
        """Total variation between what the loop emits and the target alone."""
        emitted = self.emitted(horizon, gamma)
        return 0.5 * sum(
            abs(emitted.get(tokens, 0.0) - self._alone(tokens))
            for tokens in itertools.product(range(self.width), repeat=horizon)
        )

    def _alone(self, tokens: tuple[int, ...]) -> float:
        laws = [self._law(PROMPT + tokens[:i]) for i in range(len(tokens))]
        return torch.stack([law[t] for law, t in zip(laws, tokens, strict=True)]).prod().item()

    def best(self, horizon: int) -> tuple[int, ...]:
        """What the target alone says at temperature 0."""
        tokens: tuple[int, ...] = ()
        for _ in range(horizon):
            tokens += (int(self.target.law(PROMPT + tokens).argmax()),)
        return tokens

    def _law(self, context: tuple[int, ...]) -> Tensor:
        return self.target_law(self.target.law(context).log())

    def _draft(
        self, prefix: tuple[int, ...], gamma: int, oracle: EnumeratingRandomness
    ) -> tuple[Block, Tensor]:
        self.draft.crop(0)
        context = DraftContext(
            model=self.draft,
            pending=torch.tensor(self.pair.view(prefix), device=DEVICE),
            law=lambda logits: self.draft_law(logits.to(self.dtype)),
            speller=self.pair,
            target_device=DEVICE,
            target_width=self.width,
            limit=self.limit,
        )
        block = self.strategy.draft(context, gamma, oracle)
        fed = (*prefix, *block.candidates.tolist())
        laws = [self._law(fed[:length]) for length in range(len(prefix), len(fed) + 1)]
        return block, torch.stack(laws).to(self.dtype)
