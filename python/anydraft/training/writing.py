"""A target that writes many texts at once.

Every sequence takes one token a pass, be it of its prompt or a new one, so that no pass waits for a long
prompt; where a text has ended, the next prompt begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from anydraft.bridge import special_tokens
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import ModelError
from anydraft.models.batch import TransformersBatch
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel
from anydraft.training.samples import KEPT, SHARD, TEMPERATURES, Sample, Store, prompt_ids
from anydraft.training.tasks import Task

ROWS = 64
"""Texts at once. On a CPU with AVX2, 64 write 1.3 times as soon as 32, and 96 no sooner."""

LONGEST = 112
"""New tokens of a text: of as many tokens, more texts teach more than longer ones."""


@dataclass
class _Text:
    number: int
    task: Task
    prompt: list[int]
    temperature: float
    generator: torch.Generator
    fed: int = 0
    ids: list[int] = field(default_factory=list)
    tops: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def next(self) -> int:
        return self.prompt[self.fed] if self.fed < len(self.prompt) else self.ids[self.fed - len(self.prompt)]

    def sample(self) -> Sample:
        ids, laws = (torch.stack(parts) for parts in zip(*self.tops, strict=True))
        tokens = torch.tensor(self.ids, dtype=torch.int32)
        return Sample(self.number, self.task, torch.tensor(self.prompt, dtype=torch.int32), tokens, ids, laws)


def check(model: PreTrainedModel, tokenizer: AnyTokenizer) -> None:
    """Raise what :func:`draw`, and learning from what it brings, would raise in the end.

    Raises:
        ModelError: several texts at once are not possible with this model.
        TokenizerError: its tokens have no bytes that can be told.
    """
    TokenizerSource.of(tokenizer, "target").load()
    _batch(model)


def draw(
    model: PreTrainedModel,
    tokenizer: AnyTokenizer,
    tasks: Iterable[Task],
    store: Store,
    *,
    seed: int = 0,
    seconds: float = float("inf"),
    longest: int = LONGEST,
    rows: int = ROWS,
    progress: Callable[[int, int], None] = lambda texts, tokens: None,
) -> None:
    """Let the target go on from every task that is not in the store yet, for so many seconds.

    A text depends on its task, its number and ``seed`` alone, up to rounding in the model. ``progress`` is
    told the number of texts and tokens, now and then.

    Raises:
        ModelError: several texts at once are not possible with this model.
    """
    done = store.numbers()
    began, tokens = time.monotonic(), 0
    finished: list[Sample] = []
    todo = ((i, task) for i, task in enumerate(tasks) if i not in done)
    written = _written(model, tokenizer, todo, seed, longest, rows)
    try:
        for count, sample in enumerate(written, 1):
            finished.append(sample)
            tokens += len(sample.ids)
            progress(count, tokens)
            if len(finished) == SHARD:
                store.add(finished)
                finished = []
            if time.monotonic() - began > seconds:
                break
    finally:  # an interrupt too leaves what was written
        if finished:
            store.add(finished)


@torch.no_grad()
def _written(
    model: PreTrainedModel,
    tokenizer: AnyTokenizer,
    todo: Iterator[tuple[int, Task]],
    seed: int,
    longest: int,
    rows: int,
) -> Iterator[Sample]:
    ends = frozenset(special_tokens.end_ids(tokenizer, getattr(model, "generation_config", None)))
    batch = _batch(model)
    slots = [batch.add().row for _ in range(rows)]
    running: dict[int, _Text] = {}
    while True:
        for row in slots:
            found = next(todo, None) if row not in running else None
            if found is not None:
                batch.crop(row, 0)
                running[row] = _text(tokenizer, *found, seed)
            elif row not in running:
                batch.close(row)
        if not running:
            return
        slots = list(running)
        fed = [torch.tensor([running[row].next], device=batch.model.device) for row in slots]
        logits = torch.cat(batch.advance(slots, fed, [1] * len(slots)))
        texts = [running[row] for row in slots]
        for text in texts:
            text.fed += 1
        _extend([(text, i) for i, text in enumerate(texts) if text.fed >= len(text.prompt)], logits)
        for row, text in zip(slots, texts, strict=True):
            if text.ids and (text.ids[-1] in ends or len(text.ids) >= longest):
                yield running.pop(row).sample()


def _batch(model: PreTrainedModel) -> TransformersBatch:
    batch = TransformersBatch(TransformersModel(model, FastPasses()))
    if not batch.possible:
        raise ModelError(
            f"got {type(model).__name__}, several texts of which cannot be written at once; expected plain "
            "layers and attn_implementation='sdpa' or 'eager'"
        )
    return batch


def _extend(writing: list[tuple[_Text, int]], logits: Tensor) -> None:
    """One more token for each text, drawn from its row of the logits."""
    if not writing:
        return
    rows = logits[[i for _, i in writing]].float()
    laws = rows.softmax(-1)
    top = laws.topk(min(KEPT, laws.shape[-1]))
    coins = torch.tensor([float(torch.rand((), generator=text.generator)) for text, _ in writing])
    heats = torch.tensor([text.temperature for text, _ in writing])
    scaled = (rows / heats.clamp(min=1e-3).to(rows.device).unsqueeze(-1)).softmax(-1).cumsum(-1)
    drawn = torch.searchsorted(scaled, (coins.to(rows.device) * scaled[:, -1]).unsqueeze(-1)).squeeze(-1)
    tokens = torch.where(heats.to(rows.device) == 0, top.indices[:, 0], drawn.clamp(max=rows.shape[-1] - 1))
    ids, probabilities = top.indices.int().cpu(), top.values.half().cpu()
    for (text, _), token, i, p in zip(writing, tokens.tolist(), ids, probabilities, strict=True):
        text.ids.append(token)
        text.tops.append((i, p))


def _text(tokenizer: AnyTokenizer, number: int, task: Task, seed: int) -> _Text:
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    temperature = TEMPERATURES[number % len(TEMPERATURES)]
    return _Text(number, task, prompt_ids(tokenizer, task), temperature, generator)
