"""A tiny random target, and what a draft for it is trained on."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import anydraft
import small
from anydraft.bridge import special_tokens
from anydraft.training import tasks, writing
from anydraft.training.distil import Lesson, text_lessons
from anydraft.training.samples import Sample, Store
from anydraft.training.sizes import Size
from anydraft.training.tokenizer import train_tokenizer

SHAPE = Size(vocabulary=300, hidden=32, inner=64, layers=2, heads=2, window=256)


TEXTS = [small.TEXT, "def area(width, height):\n    return width * height\n\n\nThe end of it all. " * 8]


@cache
def target() -> tuple[Any, Any]:
    tokenizer = small.byte_level()
    return small.model(tokenizer), tokenizer


@cache
def draft_tokenizer() -> Any:
    return train_tokenizer(TEXTS, SHAPE.vocabulary)


def bridge() -> anydraft.Bridge:
    roles = special_tokens.bridge_roles(target()[1], draft_tokenizer())
    return anydraft.Bridge(target()[1], draft_tokenizer(), to_target=roles.to_target, to_draft=roles.to_draft)


def written(folder: Path, count: int = 6, **options: Any) -> list[Sample]:
    store = Store(folder)
    options = {"longest": 12, "rows": 4, **options}
    writing.draw(*target(), tasks.training_tasks(count, 0), store, **options)
    return list(store)


@cache
def lessons() -> tuple[Lesson, ...]:
    return tuple(text_lessons(draft_tokenizer(), TEXTS, 24, 12))
