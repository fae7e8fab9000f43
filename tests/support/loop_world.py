"""Toy tokenizers and models as users have them, small enough to walk every branch of the shipped loop."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LogitsProcessor

import anydraft
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.loop import decode
from anydraft.decoding.stopping import StopRule
from anydraft.memory.lookup import Lookup
from anydraft.memory.memory import Memory
from anydraft.models.batch import sequences
from anydraft.models.in_order import OrderedProcessors
from anydraft.models.logits import ProcessedLaw
from anydraft.proposers.base import Strategy
from anydraft.sampling.laws import Randomness
from anydraft.scheduling.directors import Director
from enumeration import Emitted, branches
from placed import DEVICE

PROMPTS = ("ab", "bba")
END = "<end>"


@cache
def tokenizer(*merged: str) -> Tokenizer:
    """Byte-level BPE of the letters a and b, what they merge to, and an end token."""
    vocabulary = {token: i for i, token in enumerate(["a", "b", *merged])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[(token[:-1], token[-1]) for token in merged]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(END, special=True)])
    return backend


@cache
def gpt2(width: int, seed: int) -> Any:
    """Random and decided, in float64: layer norms, softmax and products all compute in it."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=width,
        bos_token_id=None,
        eos_token_id=width - 1,
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
    )
    made = GPT2LMHeadModel(config).double().eval().requires_grad_(requires_grad=False)
    for weight in made.parameters():
        weight.mul_(8.0 if weight.dim() == 2 else 1.0)
    made.generation_config.eos_token_id = width - 1
    return made.to(DEVICE)


class LoopWorld:
    """A pair, and the law of what the loop emits with it."""

    def __init__(
        self,
        seed: int = 0,
        *,
        target: tuple[str, ...] = ("ab",),
        draft: tuple[str, ...] = ("ba",),
        method: Any = "slrs",
        num_draft_tokens: Any = 2,
        rule: Any = None,
        tree: Any = "off",
        processors: Callable[[], Sequence[LogitsProcessor]] = lambda: (),
        rules: Sequence[StopRule] = (),
        director: Callable[[], Director] | None = None,
        strategy: Callable[[anydraft.Bridge], Strategy] | None = None,
        target_model: Any = None,
        draft_model: Any = None,
        prompts: Sequence[str] = PROMPTS[:1],
        memory: Memory | None = None,
    ) -> None:
        """``processors`` and ``director`` are made anew for every decode, since they may keep a state.

        ``memory`` is looked up in where there is a director; what is decoded does not go there.
        """
        self.memory = memory
        self.tokenizer, draft_tokenizer = tokenizer(*target), tokenizer(*draft)
        self.width = self.tokenizer.get_vocab_size()
        self.model = target_model or gpt2(self.width, seed)
        drafting = draft_model or gpt2(draft_tokenizer.get_vocab_size(), seed + 50)
        self.pair = anydraft.Speculator(
            self.model,
            drafting,
            self.tokenizer,
            draft_tokenizer,
            method=method,
            num_draft_tokens=num_draft_tokens,
            rule=rule,
            draft_head="full",
            tree=tree,
        )
        self.processors, self.rules, self.director = processors, rules, director
        self.strategy = strategy(self.pair.bridge) if strategy else None
        self.prompts = [self.tokenizer.encode(text).ids for text in prompts]
        self.end = self.width - 1
        self.failures = 0
        """Rounds in which the draft failed, of the latest walk."""
        self.drafted = 0
        """Tokens that were proposed in it."""
        self.broad = 0
        """Trees that the target was shown in it."""

    def emitted(self, horizon: int) -> dict[tuple[tuple[int, ...], ...], float]:
        """The law of what all rows emit, by walking every outcome of chance."""
        found: dict[tuple[tuple[int, ...], ...], float] = defaultdict(float)
        self.failures, self.drafted, self.broad = 0, 0, 0
        for oracle, rows in branches(partial(self._run, horizon)):
            found[rows] += oracle.probability
        return found

    def distance(self, horizon: int) -> float:
        """Total variation between what the loop emits and the target alone."""
        found = self.emitted(horizon)
        alone: dict[tuple[tuple[int, ...], ...], float] = {
            tuple(rows for rows, _ in both): math.prod(p for _, p in both)
            for both in itertools.product(*(self.alone(prompt, horizon).items() for prompt in self.prompts))
        }
        return 0.5 * sum(abs(found.get(key, 0.0) - alone.get(key, 0.0)) for key in {*found, *alone})

    def _branch(self, read: Callable[..., Any], *given: Any) -> Any:
        self.broad += 1
        return read(*given)

    def _together(self, read: Callable[..., Any], *given: Any) -> Any:
        self.broad += len(given) > 3
        return read(*given)

    def alone(self, prompt: list[int], horizon: int) -> Emitted:
        """The law of plain decoding, by the model itself: token after token, the whole text each time."""
        law: Emitted = {}
        self._decode(prompt, (), 1.0, horizon, law)
        return law

    def _decode(self, prompt: list[int], said: tuple[int, ...], p: float, horizon: int, law: Emitted) -> None:
        if len(said) == horizon or (said and self._ends(prompt, said)):
            law[said] = p
            return
        processors = self.processors()
        scores = torch.empty(0)
        for length in range(len(said) + 1):  # a processor with a state is shown the whole past
            ids = torch.tensor([[*prompt, *said[:length]]], device=DEVICE)
            scores = self.model(ids).logits[:, -1]
            for processor in processors:
                scores = processor(ids, scores)
        for token, chance in enumerate(scores[0].softmax(0).tolist()):
            if chance > 0:
                self._decode(prompt, (*said, token), p * chance, horizon, law)

    def _ends(self, prompt: list[int], said: tuple[int, ...]) -> bool:
        from anydraft.decoding.stopping import Prefix

        ids = [*prompt, *said]
        prefix = Prefix(torch.tensor(ids, device=DEVICE), lambda count: ids[-count:])
        return said[-1] == self.end or any(rule(prefix) for rule in self.rules)

    def _run(self, horizon: int, oracle: Randomness) -> tuple[tuple[int, ...], ...]:
        pair, count = self.pair, len(self.prompts)
        targets = sequences(self.model, count)
        drafts = pair.engine.draft_sequences(count) if count > 1 else [pair.engine.sequences()[1]]
        processors = list(self.processors())
        law: Any = ProcessedLaw(processors, dtype=torch.float64)
        order = None
        if not law.pure:
            given_ids = torch.tensor(self.prompts, device=DEVICE)
            order = OrderedProcessors(processors, "sample", given_ids, dtype=torch.float64)
        director = self.director() if self.director else None
        rows = []
        for i, prompt in enumerate(self.prompts):
            given = pair.engine.plain_prompt(prompt)
            caches = PairCaches(targets[i], drafts[i])
            row = pair.engine.row(
                given,
                caches,
                law=law if order is None else order.rows[i],
                draft_law=ProcessedLaw([], dtype=torch.float64).without_prefix,
                randomness=oracle,
                times="nominal",
                max_new_tokens=horizon,
                rules=self.rules,
            )
            if director is not None:
                row.director = director
                row.lookup = Lookup(pair.bridge.target.decode(prompt), self.memory)
            if self.strategy is not None:
                row.strategies = lambda _: self.strategy  # type: ignore[assignment, return-value]
            if pair.engine.tree == "auto":
                row.crowded = False
                assert row.try_trees()
                row.target.branch = partial(self._branch, row.target.branch)  # type: ignore[attr-defined]
            rows.append(row)
        if count > 1 and pair.engine.tree == "auto":
            batch: Any = targets[0].batch  # type: ignore[attr-defined]
            batch.advance = partial(self._together, batch.advance)
        said: list[list[int]] = [[] for _ in rows]
        for i, event in decode(rows):
            said[i] += event.token_ids
            self.failures += event.draft_failure is not None
        self.drafted += sum(row.stats.proposed for row in rows)
        return tuple(map(tuple, said))
