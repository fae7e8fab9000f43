"""Tiny models that have learnt a text by heart: a draft of which a target accepts a good deal."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import PreTrainedModel

import small
import tiny

_LENGTH = 48
"""Tokens of a training example."""


@cache
def pair(*, swap: bool = False, steps: tuple[int, int] = (150, 110)) -> tuple[Any, Any, Any, Any]:
    """Target, draft, and their tokenizers, which differ; the draft has learnt for less long."""
    tokenizers = small.byte_fallback(), small.byte_level()
    if swap:
        tokenizers = tokenizers[::-1]
    models = [model(t, steps=n, seed=i) for i, (t, n) in enumerate(zip(tokenizers, steps, strict=True))]
    return *models, *tokenizers


def model(tokenizer: Any, *, steps: int, seed: int = 0, padding: int = 7) -> PreTrainedModel:
    """A model for a tokenizer, trained for a second on the text that the tokenizer was made from."""
    lines = small.TEXT.splitlines(keepends=True)
    texts = ["".join(lines[i : i + 8]) for i in range(len(lines) // 2)]
    ids = torch.tensor([tokenizer(text)["input_ids"][:_LENGTH] for text in texts])
    made: Any = tiny.llama(len(tokenizer) + padding, seed=seed)
    made.generation_config.eos_token_id = made.generation_config.pad_token_id = tokenizer.eos_token_id
    made.generation_config.bos_token_id = tokenizer.bos_token_id
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(0.2 if weight.dim() == 2 else 1.0)  # small weights learn faster
    optimizer = torch.optim.AdamW(made.parameters(), lr=3e-3)
    chance = torch.Generator().manual_seed(seed)
    made.train()
    for _ in range(steps):
        batch = ids[torch.randint(len(ids), (6,), generator=chance)]
        made(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return made.eval().requires_grad_(requires_grad=False)
