"""Lessons of like lengths side by side, in an order that follows from a seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from anydraft.training.distil import KEPT, Lesson

TOKENS = 4096
"""Draft tokens of a batch, filler included."""


class Batch(NamedTuple):
    """Several lessons, filled up at their ends."""

    ids: Tensor
    """int64 ``[B, n]``."""
    wanted: Tensor
    """int64 ``[B, n, K]``."""
    weights: Tensor
    """float32 ``[B, n, K]``; zero for filler."""


def batches(lessons: Sequence[Lesson], epoch: int, seed: int, tokens: int = TOKENS) -> list[list[int]]:
    """All lessons once, as lists of their numbers; another order in every epoch."""
    order = random.Random(f"{seed} {epoch}")
    lengths = {i: len(lesson) + order.random() * 16 for i, lesson in enumerate(lessons)}
    made: list[list[int]] = [[]]
    for i in sorted(lengths, key=lambda i: lengths[i]):
        if made[-1] and (len(made[-1]) + 1) * len(lessons[i]) > tokens:
            made.append([])
        made[-1].append(i)
    order.shuffle(made)
    return made


def endless(lessons: Sequence[Lesson], seed: int, tokens: int, skip: int) -> Iterator[Batch]:
    """Batches of one epoch after the other, the first ``skip`` left out."""
    epoch = 0
    while True:
        for numbers in batches(lessons, epoch, seed, tokens):
            if skip > 0:
                skip -= 1
            else:
                yield together([lessons[i] for i in numbers])
        epoch += 1


def together(lessons: Sequence[Lesson]) -> Batch:
    """One batch."""
    width = max(map(len, lessons))
    batch = Batch(
        torch.zeros(len(lessons), width, dtype=torch.int64),
        torch.zeros(len(lessons), width, KEPT, dtype=torch.int64),
        torch.zeros(len(lessons), width, KEPT),
    )
    for i, lesson in enumerate(lessons):
        for whole, part in zip(batch, (lesson.ids, lesson.wanted, lesson.weights), strict=True):
            whole[i, : len(lesson)] = part
    return batch
