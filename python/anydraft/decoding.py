"""The decoding loop: draft a block for every row, verify all in one target pass, commit, repeat."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from anydraft.drafting.draw import Draft, draft_together
from anydraft.drafting.protocol import Block
from anydraft.models.together import advance_together
from anydraft.row import Row
from anydraft.streaming import Event


def decode(rows: Sequence[Row]) -> Iterator[tuple[int, Event]]:
    """Run all rows to their ends; after every round, an event of each row that took part, with its number.

    Rows accept different lengths and finish at different times; what one says does not depend on the others.
    """
    running = [i for i, row in enumerate(rows) if row.finish_reason is None]
    while running:
        began = time.perf_counter()
        active = [rows[i] for i in running]
        blocks = propose(active)
        logits = advance(active, blocks)
        verdicts = [row.judge(block, own) for row, block, own in zip(active, blocks, logits, strict=True)]
        answers = read(verdicts)
        events = [row.settle(answer) for row, answer in zip(active, answers, strict=True)]
        seconds = time.perf_counter() - began
        for row in active:
            row.stats.seconds += seconds
            if row.finish_reason:
                row.close()
        yield from zip(running, events, strict=True)
        running = [i for i in running if rows[i].finish_reason is None]


def propose(rows: Sequence[Row]) -> list[Block | None]:
    """Draft a block for every row, or nothing; a draft that raises is never fatal."""
    blocks: list[Block | None] = [None] * len(rows)
    opened: list[tuple[int, Draft]] = []
    for i, row in enumerate(rows):
        try:
            begun = row.begin()
        except Exception as error:
            row.fail(error)
            continue
        if begun is not None:
            opened.append((i, (row.strategy, *begun, row.randomness)))
    drafted = draft_together([draft for _, draft in opened])
    for (i, _), block in zip(opened, drafted, strict=True):
        if isinstance(block, Exception):
            rows[i].fail(block)
        else:
            blocks[i] = block
    return blocks


def advance(rows: Sequence[Row], blocks: Sequence[Block | None]) -> list[Tensor]:
    """The one target pass of a round: logits ``[k + 1, V]`` of every row."""
    began = time.perf_counter()
    fed = [
        torch.cat((row.unfed, block.candidates)) if block else row.unfed
        for row, block in zip(rows, blocks, strict=True)
    ]
    keep = [1 + (len(block.candidates) if block else 0) for block in blocks]
    logits = advance_together([row.target for row in rows], fed, keep)
    seconds = time.perf_counter() - began
    for row in rows:
        row.stats.target_seconds += seconds
        row.stats.target_passes += 1
    return logits


def read(verdicts: Sequence[Tensor]) -> list[list[int]]:
    """Bring the answers of all rows to the host in one transfer."""
    everything: list[int] = torch.cat(list(verdicts)).tolist()
    answers, start = [], 0
    for verdict in verdicts:
        answers.append(everything[start : start + len(verdict)])
        start += len(verdict)
    return answers
