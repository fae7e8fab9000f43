"""The decoding loop: draft a block for every row, verify all in one target pass, commit, repeat."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from anydraft.drafting.draw import Draft, draft_together
from anydraft.drafting.protocol import Block
from anydraft.errors import DraftError, PairError
from anydraft.in_order import InOrder
from anydraft.models.together import advance_together
from anydraft.row import Row
from anydraft.streaming import Event
from anydraft.transfer import to_host
from anydraft.walking import retrace, walk

Value = TypeVar("Value")


class Team(Protocol):
    """Several processes that run one target together; see :mod:`anydraft.models.team`."""

    leads: bool
    """Whether this process drafts, draws and decides."""

    def share(self, value: Value) -> Value:
        """What the leading process has in place of ``value``; an exception is raised everywhere."""


def decode(rows: Sequence[Row], team: Team | None = None) -> Iterator[tuple[int, Event]]:
    """Run all rows to their ends; after every round, an event of each row that took part, with its number.

    Rows accept different lengths and finish at different times; what one says does not depend on the others.
    """
    running = [i for i, row in enumerate(rows) if row.finish_reason is None]
    while running:
        began = time.perf_counter()
        active = [rows[i] for i in running]
        blocks = propose(active) if team is None else propose_once(active, team)
        logits = advance(active, blocks)
        events = settle(active, blocks, logits) if team is None else settle_once(active, blocks, logits, team)
        seconds = time.perf_counter() - began
        for row in active:
            row.took(seconds)
            if row.finish_reason:
                row.close()
        yield from zip(running, events, strict=True)
        running = [i for i in running if rows[i].finish_reason is None]


def settle(rows: Sequence[Row], blocks: Sequence[Block | None], logits: Sequence[Tensor]) -> list[Event]:
    """Verify every row on the device, read all answers at once, commit."""
    events: dict[int, Event] = {}
    for order, members in by_order(rows):
        ours = [rows[i] for i in members], [blocks[i] for i in members], [logits[i] for i in members]
        if order is not None:
            found = walk(order, *ours)
        else:
            verdicts = [row.judge(block, own) for row, block, own in zip(*ours, strict=True)]
            found = [row.settle(answer) for row, answer in zip(ours[0], to_host(verdicts), strict=True)]
        events.update(zip(members, found, strict=True))
    return [events[i] for i in range(len(rows))]


def by_order(rows: Sequence[Row]) -> list[tuple[InOrder | None, list[int]]]:
    """Which rows share processors that must be called in order; ``None``: those that have none."""
    found: dict[int, tuple[InOrder | None, list[int]]] = {}
    for i, row in enumerate(rows):
        found.setdefault(id(row.order), (row.order, []))[1].append(i)
    return list(found.values())


def propose_once(rows: Sequence[Row], team: Team) -> list[Block | None]:
    """As :func:`propose` in the leading process; the others take its candidates."""
    blocks = propose(rows) if team.leads else []
    shared = team.share([None if block is None else block.candidates.tolist() for block in blocks])
    if team.leads:
        return blocks
    none = torch.empty(0, dtype=torch.int64)
    return [
        None if ids is None else Block(none, torch.tensor(ids, dtype=torch.int64, device=row.target.device))
        for row, ids in zip(rows, shared, strict=True)
    ]


def settle_once(
    rows: Sequence[Row], blocks: Sequence[Block | None], logits: Sequence[Tensor], team: Team
) -> list[Event]:
    """As :func:`settle` in the leading process; the others commit what it emits."""
    events: list[Event] | Exception = []
    if team.leads:
        try:
            events = settle(rows, blocks, logits)
        except Exception as error:
            events = error
    shared = team.share(events)
    assert not isinstance(shared, Exception)
    if not team.leads:
        for order, members in by_order(rows):
            if order is not None:
                ours = [rows[i] for i in members], [logits[i] for i in members]
                retrace(order, *ours, [shared[i] for i in members])
        for row, block, own, event in zip(rows, blocks, logits, shared, strict=True):
            row.follow(block, own, event)
    return shared


def propose(rows: Sequence[Row]) -> list[Block | None]:
    """Draft a block for every row, or nothing; a draft whose model raises is never fatal."""
    blocks: list[Block | None] = [None] * len(rows)
    opened: list[tuple[int, Draft]] = []
    for i, row in enumerate(rows):
        try:
            begun = row.begin()
        except (DraftError, PairError) as error:
            row.fail(error)
            continue
        if begun is not None:
            opened.append((i, (*begun, row.randomness)))
    drafted = draft_together([draft for _, draft in opened])
    for (i, _), block in zip(opened, drafted, strict=True):
        failure = block if isinstance(block, DraftError) else block.failure
        if failure is not None:
            rows[i].fail(failure)
        blocks[i] = None if isinstance(block, DraftError) else block
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
