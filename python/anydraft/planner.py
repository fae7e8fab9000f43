"""Measures a pair for a few seconds and says what will pay: methods, draft lengths, or no draft at all.

The target first writes on by itself, which gives its plain pass time and its laws. The draft then reads the
same text in one pass. At every place where tokens of both begin, each method is asked, through its own code,
with which probability it would have proposed what the target said and had it accepted: over texts that the
target has drawn, the mean of ``prod min(1, Q / P)`` along the path is exactly the expected number of accepted
tokens of the token rule.
"""

from __future__ import annotations

import itertools
import operator
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from anydraft.drafting.draw import allowed_law
from anydraft.drafting.lookup import PromptLookup
from anydraft.drafting.protocol import Chaining, DraftContext, Drawing, Drawn
from anydraft.drafting.recall import Recall
from anydraft.errors import ArgumentError, ModelFileError, PairError
from anydraft.mixture import LOOKUP
from anydraft.models.processing import ProcessedLaw, processed_law
from anydraft.models.protocol import Model
from anydraft.plan_store import keep
from anydraft.plans import Plan, Reach, reach_of
from anydraft.sampling import Greedy, SeededRandomness
from anydraft.speculator import Speculator

PROMPTS = (
    "The lighthouse stood on a rock at the end of the bay. Every evening the keeper climbed the stairs and",
    "def parse_config(path):\n    result = {}\n    with open(path) as file:\n        for line in file:\n",
    "Question: Why is the sky blue?\nAnswer: Sunlight is made of many colours. When it enters the air,",
)
"""What is measured where no prompts are given: prose, code, an answer."""

LONGEST = 8
"""Draft tokens of the longest block that is judged."""

SIZES = (2, 3, 5, 9)
"""Tokens fed at once whose pass times are measured."""

REPEATS = 3


@dataclass
class Written:
    """A text that the target wrote on, as both sides read it."""

    ids: list[int]
    """The continuation's target ids."""
    laws: Tensor
    """``[n + 1, V]``: the target's law at each of them and after."""
    draft_ids: list[int]
    """The draft's tokens of the continuation, from the first that begins with it."""
    logits: Tensor
    """``[m, D]``: the draft's logits at each of them."""
    starts: dict[int, int]
    """Where tokens of both begin: number of target tokens to number of draft tokens."""
    needed: list[int]
    """How many draft tokens cover the first 1, 2, … target tokens."""
    before: bytes
    """The prompt's text."""

    def places(self) -> list[tuple[int, int]]:
        """Where blocks are judged: all that have a whole block's text after them, or the first alone."""
        places = list(self.starts.items())
        last = len(self.draft_ids) - LONGEST
        return [(start, place) for start, place in places if place <= last] or places[:1]


def plan(
    target_model: Any,
    draft_model: Any,
    target_tokenizer: Any,
    draft_tokenizer: Any,
    *,
    prompts: Sequence[str] = PROMPTS,
    temperature: float = 0.0,
    methods: Sequence[str] | None = None,
    new_tokens: int = 40,
    **options: Any,
) -> Plan:
    """Measure a pair; see :class:`Plan` for what comes out.

    The plan is kept in the cache folder, where a :class:`Speculator` with ``method="auto"`` finds it.

    ``prompts``: texts like those that the pair will be used on. ``methods``: by default ``slem`` and ``tli``
    at temperature 0, all but ``slrs-exact`` when sampling, and ``lookup``. ``new_tokens``: how many the
    target writes after each prompt. ``options``: as for :class:`Speculator`.

    Raises:
        ArgumentError: no prompts, or too few new tokens to judge a block.
    """
    if not prompts or new_tokens < 2:
        raise ArgumentError(
            f"got {len(prompts)} prompts and new_tokens={new_tokens}; expected prompts, and 2 or more"
        )
    pair = Speculator(target_model, draft_model, target_tokenizer, draft_tokenizer, **options)
    default = ("slem", "tli") if temperature == 0 else ("slrs", "pushforward", "tli", "slem")
    made = Planner(pair, temperature).measure(prompts, methods or (*default, LOOKUP), new_tokens)
    with suppress(ModelFileError):  # a plan that cannot be kept is a plan all the same
        keep(made)
    return made


@dataclass
class Judged:
    """One block at one place of a text."""

    said: list[tuple[int, float]]
    """The candidates that the target said too: draft tokens they need, the chance that they are accepted."""
    made: list[int]
    """Number of candidates by draft tokens from 1 on."""
    seconds: float
    """Time of making and verifying it."""


class Planner:
    """Measures one pair at one temperature."""

    def __init__(self, pair: Speculator, temperature: float) -> None:
        """``pair``: its models and bridge are used, its settings are not."""
        self._pair = pair
        self._temperature = temperature
        self._law: ProcessedLaw = processed_law(temperature=temperature)
        self._target, self._draft = pair.sequences()
        self._plain: list[float] = []
        self._passes: list[float] = []

    def measure(self, prompts: Sequence[str], methods: Sequence[str], new_tokens: int) -> Plan:
        """Write, time, judge."""
        texts = [self._write(prompt, new_tokens) for prompt in prompts]
        verify = {1: statistics.median(self._passes), **self._verify_times()}
        step = self._step_time()
        reach, notes = {}, []
        for method in methods:
            judged = self._try(method, texts)
            if isinstance(judged, Reach):
                reach[method] = judged
            else:
                notes.append(f"{method}: {judged}")
        return Plan(
            pair=self._pair.identity,
            temperature=self._temperature,
            plain=statistics.median(self._plain),
            verify=verify,
            step=step,
            reach=reach,
            positions=sum(len(text.places()) for text in texts),
            notes=notes,
        )

    def _write(self, prompt: str, new_tokens: int) -> Written:
        """Let the target go on by itself, and the draft read what came out."""
        given = self._pair.prompt(prompt)
        randomness = Greedy() if self._law.greedy else SeededRandomness(1)
        committed, rows = list(given.ids), []
        none = torch.empty(0, dtype=torch.int64, device=self._target.device)
        self._target.crop(0)
        for i in range(new_tokens + 1):
            began = time.perf_counter()
            unfed = torch.tensor(committed[self._target.length :], device=self._target.device)
            logits = self._target.advance(unfed)
            passed = time.perf_counter()
            law = self._law(logits, committed, none)
            token = int(randomness.draw(law)[0])
            rows.append(law[0])
            if i:
                self._passes.append(passed - began)
                self._plain.append(time.perf_counter() - began)
            if i == new_tokens or token in self._pair.end_ids:
                break
            committed.append(token)
        session = self._pair.bridge.session(given.view, given.shared)
        opening = session.view()
        new = committed[len(given.ids) :]
        session.commit(new)
        view = session.view()
        self._pair.suit(self._draft, view)
        same = next((i for i, (a, b) in enumerate(zip(opening, view, strict=False)) if a != b), len(opening))
        same = max(1, min(same, len(view) - 1))
        self._draft.crop(0)
        logits = self._draft.advance(torch.tensor(view, device=self._draft.device), len(view) - same + 1)[:-1]
        return self._aligned(given.ids, new, torch.stack(rows), view, same, logits)

    def _aligned(
        self, prompt: list[int], new: list[int], laws: Tensor, view: list[int], same: int, logits: Tensor
    ) -> Written:
        """Find where tokens of both sides begin, counted in bytes from the end."""
        target, draft = self._pair.bridge.target, self._pair.bridge.draft
        sizes = [len(target.decode([token])) for token in new]
        pieces = [len(draft.decode([token])) for token in view[same:]]
        behind = [sum(sizes[i:]) for i in range(len(sizes) + 1)]
        left = [sum(pieces[j:]) for j in range(len(pieces) + 1)]
        starts = {i: left.index(behind[i]) for i in range(len(new)) if behind[i] in left and sizes[i] > 0}
        needed = [sum(rest > behind[i + 1] for rest in left) for i in range(len(new))]
        return Written(new, laws, view[same:], logits, starts, needed, target.decode(prompt))

    def _verify_times(self) -> dict[int, float]:
        """Medians, interleaved, after the last text."""
        length = self._target.length
        ids = torch.zeros(max(SIZES), dtype=torch.int64, device=self._target.device)
        times: dict[int, list[float]] = {size: [] for size in SIZES}
        for turn in range(REPEATS + 1):
            for size in SIZES:
                seconds = _timed(self._target, ids[:size], size)
                if turn:
                    times[size].append(seconds)
                self._target.crop(length)
        return {size: statistics.median(seconds) for size, seconds in times.items()}

    def _step_time(self) -> float:
        token = torch.zeros(1, dtype=torch.int64, device=self._draft.device)
        seconds = [_timed(self._draft, token, 1) for _ in range(2 * REPEATS + 1)]
        return statistics.median(seconds[1:])

    def _try(self, method: str, texts: Sequence[Written]) -> Reach | Exception:
        try:
            return self._judge(method, texts)
        except (PairError, ArgumentError) as error:
            return error

    def _judge(self, method: str, texts: Sequence[Written]) -> Reach:
        judge = self._lookup_blocks if method == LOOKUP else self._drafted_blocks
        judged = [block for text in texts for block in judge(method, text)]
        said, made = [block.said for block in judged], [block.made for block in judged]
        tokens, candidates = reach_of(said, LONGEST, made)
        first = sum(block.said[0][1] for block in judged if block.said) / len(judged)
        return Reach(tokens, candidates, first, statistics.median(b.seconds for b in judged) / LONGEST)

    def _drafted_blocks(self, method: str, text: Written) -> list[Judged]:
        strategy = self._pair.strategy(method)
        if not isinstance(strategy, Drawing):
            raise ArgumentError("cannot be judged from one reading of a text")
        context = self._context()
        rows = [allowed_law(context, row, strategy.allowed) for row in text.logits]
        found = []
        for start, place in text.places():
            ids = text.draft_ids[place : place + LONGEST]
            length = [*strategy.allowed[ids].tolist(), False].index(False)
            if length == 0:
                found.append(Judged([], [0] * LONGEST, 0.0))
                continue
            laws = torch.stack(rows[place : place + length])
            drawn = Drawn(torch.tensor(ids[:length], device=laws.device), laws)
            began = time.perf_counter()
            block = strategy.block(drawn, context)
            proposed = len(block.candidates)
            said = _common(block.candidates.tolist(), text.ids[start:])
            needed = [max(1, n - place) for n in text.needed[start : start + said]]
            if isinstance(strategy, Chaining):
                reached = self._reached(strategy, drawn, text.laws[start : start + said + 1])
            else:
                reached = _string_level(drawn, needed)
            seconds = time.perf_counter() - began
            made = [min(proposed, proposed * n // length + 1) for n in range(LONGEST)]
            found.append(Judged(list(zip(needed, reached, strict=False)), made, seconds))
        return found

    def _reached(self, strategy: Chaining, drawn: Drawn, laws: Tensor) -> list[float]:
        """The chance that each candidate that was said, and all before it, are proposed and accepted."""
        said = len(laws) - 1
        if said == 0:
            return []
        block = strategy.block(drawn, replace(self._context(), limit=said))
        if len(block.candidates) > said:  # one candidate a draft token: the limit was for who draws
            block = strategy.block(Drawn(drawn.ids[:said], drawn.laws[:said]), self._context())
        chain = strategy.chain(block, laws)
        chances = [min(1.0, 1 / ratio) if ratio > 0 else 0.0 for ratio in chain.ratios().tolist()]
        reach = [1.0, *itertools.accumulate(chances, operator.mul)]
        finished = chain.finished.tolist()
        return [reach[finished.index(i)] for i in range(1, said + 1) if i in finished]

    def _lookup_blocks(self, method: str, text: Written) -> list[Judged]:
        strategy, recall = PromptLookup(self._pair.bridge.target.encode), Recall(text.before)
        context = replace(self._context(), recall=recall)
        found = []
        for i, token in enumerate(text.ids[: max(1, len(text.ids) - LONGEST + 1)]):
            candidates = strategy.candidates(context, LONGEST)
            said = _common(candidates, text.ids[i:])
            made = [min(n + 1, len(candidates)) for n in range(LONGEST)]
            found.append(Judged([(n + 1, 1.0) for n in range(said)], made, 0.0))
            recall.push(self._pair.bridge.target.decode([token]))
        return found

    def _context(self) -> DraftContext:
        return DraftContext(
            model=self._draft,
            pending=torch.empty(0, dtype=torch.int64),
            law=self._law.without_prefix,
            speller=_Encoding(self._pair),
            target_device=self._target.device,
            target_width=self._target.vocab_size,
        )


class _Encoding:
    """Spells a draft from any place of a text."""

    def __init__(self, pair: Speculator) -> None:
        self._bridge = pair.bridge

    def propose(self, draft_ids: list[int]) -> list[int]:
        """See :class:`Speller`."""
        return self._bridge.target.encode(self._bridge.draft.decode(draft_ids)) or []


def _string_level(drawn: Drawn, needed: list[int]) -> list[float]:
    """Exact match: the chance that the draft writes the text of each candidate, token by token."""
    own = drawn.laws.gather(-1, drawn.ids.unsqueeze(-1)).squeeze(-1).double().cumprod(0).tolist()
    return [own[n - 1] for n in needed if n <= len(own)]


def _common(left: list[int], right: list[int]) -> int:
    pairs = zip(left, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _timed(model: Model, ids: Tensor, keep: int) -> float:
    began = time.perf_counter()
    logits = model.advance(ids, keep)
    if logits.device.type != "cpu":
        logits[0, 0].item()  # waits for the device
    return time.perf_counter() - began
