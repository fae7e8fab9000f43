"""Measures a pair for a few seconds and says what will pay: methods, draft lengths, or no draft at all.

The target first writes on by itself, which gives its plain pass time and its laws. The draft then reads the
same text. At every place each method is asked, through its own code, with which probability it would have
proposed what the target said and had it accepted: given what was emitted, the first *j* tokens of a round
were accepted with probability ``prod min(1, Q / P)`` along the path (the token rule). That gives the expected
number of rounds in which the text would have been written.
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

from anydraft.bridge.common import common_prefix
from anydraft.bridge.prompts import Prompt
from anydraft.engine.engine import Engine
from anydraft.errors import ArgumentError, ModelFileError, PairError
from anydraft.models.base import Model
from anydraft.models.logits import ProcessedLaw, processed_law
from anydraft.proposers.base import Chaining, DraftContext, Drawing, Drawn
from anydraft.proposers.draw import allowed_law
from anydraft.proposers.ngram import NgramLookup
from anydraft.proposers.ngram_index import NgramIndex
from anydraft.sampling.laws import Greedy, SeededRandomness
from anydraft.scheduling.mixture import LOOKUP
from anydraft.scheduling.plan import Plan, Reach, tokens_of
from anydraft.scheduling.plan_store import keep
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
class Place:
    """One place of a text, as the draft reads it."""

    ids: list[int]
    """The draft's tokens from there on, at most :data:`LONGEST`."""
    logits: Tensor
    """``[n, D]``: the draft's logits at each of them."""
    needed: list[int]
    """How many of them cover the first 1, 2, … target tokens."""


@dataclass
class Written:
    """A text that the target wrote on."""

    ids: list[int]
    """The continuation's target ids."""
    laws: Tensor
    """``[n + 1, V]``: the target's law at each of them and after."""
    places: list[Place]
    """One for each of them: a round may begin anywhere."""
    before: bytes
    """The prompt's text."""


def plan(
    target_model: Any,
    draft_model: Any,
    target_tokenizer: Any,
    draft_tokenizer: Any,
    *,
    prompts: Sequence[str] = PROMPTS,
    temperature: float = 0.0,
    methods: Sequence[str] | None = None,
    new_tokens: int = 32,
    **options: Any,
) -> Plan:
    """Measure a pair; see :class:`Plan` for what comes out.

    The plan is kept in the cache folder, where a :class:`Speculator` with ``method="auto"`` finds it.

    ``prompts``: texts like those that the pair will be used on. ``methods``: by default ``slem`` and ``tli``
    at temperature 0, all when sampling, and ``lookup``. ``new_tokens``: how many the
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
        self._engine = pair.engine
        self._temperature = temperature
        self._law: ProcessedLaw = processed_law(temperature=temperature)
        self._target, self._draft = self._engine.sequences()
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
            pair=self._engine.identity,
            temperature=self._temperature,
            plain=statistics.median(self._plain),
            verify=verify,
            step=step,
            reach=reach,
            positions=sum(len(text.ids) for text in texts),
            notes=notes,
        )

    def _write(self, prompt: str, new_tokens: int) -> Written:
        """Let the target go on by itself, and the draft read what came out."""
        given = self._engine.prompt(prompt)
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
            if i == new_tokens or token in self._engine.end_ids:
                break
            committed.append(token)
        new = committed[len(given.ids) :]
        places = self._read(given, new)
        return Written(new, torch.stack(rows), places, self._engine.bridge.target.decode(given.ids))

    def _read(self, given: Prompt, new: list[int]) -> list[Place]:
        """Have the draft read a text: once as a whole, and from where only the target has a boundary."""
        target, draft = self._engine.bridge.target, self._engine.bridge.draft
        session = self._engine.bridge.session(given.view, given.shared)
        opening = session.view()
        session.commit(new, [])
        view = session.view()
        self._engine.suit(self._draft, view)
        same = max(1, min(common_prefix(opening, view), len(view) - 1))
        self._draft.crop(0)
        whole = self._draft.advance(torch.tensor(view, device=self._draft.device), len(view) - same + 1)
        texts = [target.decode([token]) for token in new]
        left = [sum(map(len, texts[i:])) for i in range(len(new) + 1)]
        pieces = [len(draft.decode([token])) for token in view[same:]]
        rest = [sum(pieces[j:]) for j in range(len(pieces) + 1)]
        session = self._engine.bridge.session(given.view, given.shared)
        places = []
        for i, token in enumerate(new):
            if left[i] in rest:
                first = rest.index(left[i])
                ids = view[same + first :][:LONGEST]
                logits = whole[first : first + len(ids)]
            else:
                ids = (draft.encode(b"".join(texts[i : i + LONGEST])) or [])[:LONGEST]
                logits = self._read_on(session.view(), ids, view)
            ends = list(itertools.accumulate(len(draft.decode([d])) for d in ids))
            wanted = itertools.accumulate(len(text) for text in texts[i:])
            places.append(Place(ids, logits, [1 + sum(end < size for end in ends) for size in wanted]))
            session.commit([token], [])
        return places

    def _read_on(self, view: list[int], ids: list[int], cached: list[int]) -> Tensor:
        """The draft's logits ``[n, D]`` at ``ids`` after ``view``; then it has read ``cached`` again."""
        if not ids or not view:
            return torch.empty(0, self._draft.vocab_size, device=self._draft.device)
        fed = [*view, *ids[:-1]]
        keep = min(common_prefix(view, cached), len(view) - 1)
        self._draft.crop(keep)
        logits = self._draft.advance(torch.tensor(fed[keep:], device=self._draft.device), len(ids))
        self._draft.crop(keep)
        self._draft.advance(torch.tensor(cached[keep:], device=self._draft.device))
        return logits

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
        judged = [judge(method, text) for text in texts]
        every = [block for text in judged for block in text]
        if not every:
            raise ArgumentError("nothing was written that a block could be judged by")
        tokens = tokens_of([[block.said for block in text] for text in judged], LONGEST)
        made = [statistics.mean(block.made[n] for block in every) for n in range(LONGEST)]
        first = statistics.mean(block.said[0][1] if block.said else 0.0 for block in every)
        return Reach(tokens, made, first, statistics.median(block.seconds for block in every) / LONGEST)

    def _drafted_blocks(self, method: str, text: Written) -> list[Judged]:
        strategy = self._engine.strategy(method)
        if not isinstance(strategy, Drawing):
            raise ArgumentError("cannot be judged from one reading of a text")
        context = self._context()
        found = []
        for start, place in enumerate(text.places):
            length = [*strategy.allowed[place.ids].tolist(), False].index(False)
            if length == 0:
                found.append(Judged([], [0] * LONGEST, 0.0))
                continue
            rows = [allowed_law(context, row, strategy.allowed) for row in place.logits[:length]]
            drawn = Drawn(torch.tensor(place.ids[:length], device=rows[0].device), torch.stack(rows))
            began = time.perf_counter()
            block = strategy.block(drawn, context)
            proposed = len(block.candidates)
            said = common_prefix(block.candidates.tolist(), text.ids[start:])
            needed = place.needed[:said]
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
        strategy, ngrams = NgramLookup(self._engine.bridge.target.encode), NgramIndex(text.before)
        context = replace(self._context(), ngrams=ngrams)
        found = []
        for i, token in enumerate(text.ids):
            candidates = strategy.candidates(context, LONGEST)
            said = common_prefix(candidates, text.ids[i:])
            made = [min(n + 1, len(candidates)) for n in range(LONGEST)]
            found.append(Judged([(n + 1, 1.0) for n in range(said)], made, 0.0))
            ngrams.push(self._engine.bridge.target.decode([token]))
        return found

    def _context(self) -> DraftContext:
        return DraftContext(
            model=self._draft,
            pending=torch.empty(0, dtype=torch.int64),
            law=self._law.without_prefix,
            speller=_Encoding(self._engine),
            target_device=self._target.device,
            target_width=self._target.vocab_size,
        )


class _Encoding:
    """Spells a draft from any place of a text."""

    def __init__(self, engine: Engine) -> None:
        self._bridge = engine.bridge

    def propose(self, draft_ids: list[int]) -> list[int]:
        """See :class:`Speller`."""
        return self._bridge.target.encode(self._bridge.draft.decode(draft_ids)) or []


def _string_level(drawn: Drawn, needed: list[int]) -> list[float]:
    """Exact match: the chance that the draft writes the text of each candidate, token by token."""
    own = drawn.laws.gather(-1, drawn.ids.unsqueeze(-1)).squeeze(-1).double().cumprod(0).tolist()
    return [own[n - 1] for n in needed if n <= len(own)]


def _timed(model: Model, ids: Tensor, keep: int) -> float:
    began = time.perf_counter()
    logits = model.advance(ids, keep)
    if logits.device.type != "cpu":
        logits[0, 0].item()  # waits for the device
    return time.perf_counter() - began
