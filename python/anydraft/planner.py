"""Measures a pair for a few seconds and says what will pay: methods, draft lengths, or no draft at all.

Each method continues the prompts, with blocks of several lengths by turns, and with none. A cost model
(:mod:`anydraft.scheduling.cost`) learns from these rounds, and tells what every length would bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from anydraft.decoding.loop import decode
from anydraft.errors import ArgumentError, ModelFileError, PairError
from anydraft.memory.lookup import Lookup
from anydraft.models.ahead import ahead_by
from anydraft.models.logits import processed_law
from anydraft.sampling.laws import Greedy, SeededRandomness
from anydraft.scheduling.cost import CostModel, Round
from anydraft.scheduling.directors import LOOKUP, Choice, Fixed, arm
from anydraft.scheduling.plan import Plan, Reach, keep
from anydraft.speculator import Speculator

PROMPTS = (
    "The lighthouse stood on a rock at the end of the bay. Every evening the keeper climbed the stairs and",
    "def parse_config(path):\n    result = {}\n    with open(path) as file:\n        for line in file:\n",
    "Question: Why is the sky blue?\nAnswer: Sunlight is made of many colours. When it enters the air,",
)
"""What is measured where no prompts are given: prose, code, an answer."""

LENGTHS = (0, 8, 4, 2)
"""Draft tokens by turns; 0 is the target alone."""


def plan(
    target_model: Any,
    draft_model: Any,
    target_tokenizer: Any,
    draft_tokenizer: Any,
    *,
    prompts: Sequence[str] = PROMPTS,
    temperature: float = 0.0,
    methods: Sequence[str] | None = None,
    new_tokens: int = 48,
    **options: Any,
) -> Plan:
    """Measure a pair; see :class:`Plan` for what comes out.

    The plan is kept in the cache folder, where a :class:`Speculator` with ``method="auto"`` finds it.

    ``prompts``: texts like those that the pair will be used on. ``methods``: by default ``slem`` and ``tli``
    at temperature 0, all when sampling, and ``lookup``. ``new_tokens``: how many are written after each
    prompt with each method. ``options``: as for :class:`Speculator`.

    Raises:
        ArgumentError: no prompts, or too few new tokens to judge a block.
    """
    pair = Speculator(target_model, draft_model, target_tokenizer, draft_tokenizer, **options)
    default = ("slem", "tli") if temperature == 0 else ("slrs", "pushforward", "tli", "slem")
    made = measure(pair, temperature, prompts, methods or (*default, LOOKUP), new_tokens)
    with suppress(ModelFileError):  # a plan that cannot be kept is a plan all the same
        keep(made)
    return made


def measure(
    pair: Speculator, temperature: float, prompts: Sequence[str], methods: Sequence[str], new_tokens: int
) -> Plan:
    """As :func:`plan`, with a pair's models and bridge; its settings are not used, and nothing is kept."""
    engine, law = pair.engine, processed_law(temperature=temperature)
    caches = engine.caches()
    ahead = 1 + len(ahead_by(caches.draft))
    costs = CostModel({method: arm(method, 0.0, ahead=ahead) for method in methods}, memory=1.0)
    trials, notes = [Trial(method, costs) for method in methods], []
    for trial in trials:
        try:
            engine.strategy(trial.method)
        except (PairError, ArgumentError) as error:
            notes.append(f"{trial.method}: {error}")
            continue
        for seed, prompt in enumerate(prompts):
            row = engine.row(
                engine.prompt(prompt),
                caches,
                law=law,
                draft_law=law.without_prefix,
                randomness=Greedy() if law.greedy else SeededRandomness(seed),
                max_new_tokens=new_tokens,
            )
            row.director = trial
            row.lookup = Lookup(engine.bridge.target.decode(row.prompt))
            row.memory = None  # every trial says the same, and none is to find it there
            for _ in decode([row]):
                pass
        if not trial.judged:
            notes.append(f"{trial.method}: nothing was drafted that it could be judged by")
    plain = costs.plain()
    if not plain:
        raise ArgumentError(
            f"got {len(prompts)} prompts and new_tokens={new_tokens}; expected prompts, and enough tokens to "
            f"time some rounds of the target alone{''.join('; ' + note for note in notes)}"
        )
    return Plan(
        pair=engine.identity,
        temperature=temperature,
        plain=plain,
        verify=costs.verify,
        reach={trial.method: trial.reach() for trial in trials if trial.judged},
        positions=sum(trial.judged for trial in trials),
        notes=notes,
    )


class Trial:
    """Drafts with one method, with blocks of several lengths by turns, and notes what comes of it."""

    def __init__(self, method: str, costs: CostModel) -> None:
        """``costs`` learns from all rounds."""
        self.method = method
        self.methods: Sequence[str] = (method,)
        self._costs = costs
        self.judged = self._turn = self._wanted = self._hits = 0

    def choose(self, limit: int, backlog: int | None, match: int) -> Choice | None:
        """See :class:`Director`."""
        if self._costs.plain() is None:
            return None
        self._turn += 1
        length = LENGTHS[self._turn % len(LENGTHS)]
        self._wanted += min(length, limit) > 0
        return Fixed(self.method, length).choose(limit, backlog, match)

    def observe(self, choice: Choice | None, seen: Round) -> None:
        """See :class:`Director`."""
        self._costs.observe(choice.method if choice else None, seen)
        self.judged += seen.drafted > 0
        self._hits += seen.accepted > 0

    def reach(self) -> Reach:
        """What came of it."""
        costs, way = self._costs, self._costs.arms[self.method]
        first, share = self._hits / self.judged, self.judged / self._wanted
        return Reach(
            acceptance=way.acceptance.value,
            first=first,
            width=way.width.value,
            step=costs.step(way),
            share=share,
            spread=way.spread.value,
            ahead=way.ahead,
        )
