"""The decoding loop. A round: propose a block for every row, advance the target once, verify, commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor

from anydraft.decoding.events import Event
from anydraft.decoding.proposal import Proposal, Verdict
from anydraft.decoding.sequence import Row
from anydraft.decoding.step_by_step import verify_in_order
from anydraft.decoding.verification import verify_blocks
from anydraft.models.in_order import OrderedProcessors
from anydraft.models.joint import advance_together
from anydraft.proposers.draw import draft_together
from anydraft.scheduling.directors import Choice


def next_round(rows: Sequence[Row]) -> list[Event]:
    """One round of all rows, and what each of them emits."""
    began = time.perf_counter()
    proposals = propose(rows)
    logits = advance(rows, proposals)
    verdicts = verify(rows, proposals, logits)
    events = commit(rows, proposals, verdicts)
    show(rows, logits, verdicts)
    learn(rows, proposals, verdicts, events, time.perf_counter() - began)
    return events


def decode(
    rows: Sequence[Row], play: Callable[[Sequence[Row]], list[Event]] = next_round
) -> Generator[tuple[int, Event], None, None]:
    """Run all rows to their ends; after every round, an event of each row that took part, with its number.

    Rows accept different lengths and finish at different times; what one says does not depend on the others.
    ``play``: the round, another one where several processes share it (:mod:`anydraft.decoding.parallel`).
    After an error (of a stop rule, say) some rows may have emitted what they have not reported: make new
    ones.
    """
    running = [i for i, row in enumerate(rows) if row.finish_reason is None]
    try:
        while running:
            yield from zip(running, play([rows[i] for i in running]), strict=True)
            running = [i for i in running if rows[i].finish_reason is None]
    finally:  # whatever ended it
        for row in rows:
            row.remember()


def propose(rows: Sequence[Row]) -> list[Proposal]:
    """Draft a block for every row, or nothing, in joint passes; a draft whose model raises is never fatal."""
    opened = [row.open(choice) for row, choice in zip(rows, choose(rows), strict=True)]
    blocks = iter(draft_together([draft for _, draft in opened if draft is not None]))
    return [proposal if draft is None else proposal.with_block(next(blocks)) for proposal, draft in opened]


def choose(rows: Sequence[Row]) -> list[Choice | None]:
    """How each row drafts; ``None``: not at all.

    Rows whose passes are joint and that learn together go the same way, so that a round without a draft is
    one for all of them. The one decides that can draft most.
    """
    found: dict[int, Choice | None] = {}
    for row in sorted(rows, key=lambda row: (row.draft is None, -row.limit)):
        group = id(row.director if row.joint else row)
        if group not in found:
            found[group] = row.choose()
    return [found[id(row.director if row.joint else row)] for row in rows]


def advance(rows: Sequence[Row], proposals: Sequence[Proposal]) -> list[Tensor]:
    """The one target pass of a round: logits ``[k + 1, V]`` of every row, ``k`` candidates."""
    began = time.perf_counter()
    targets = [row.target for row in rows]
    fed = [fed_to(row, proposal) for row, proposal in zip(rows, proposals, strict=True)]
    keep = [1 + len(proposal.parents) for proposal in proposals]
    trees = [None if proposal.branches is None else proposal.parents for proposal in proposals]
    logits = advance_together(targets, fed, keep, trees)
    seconds = time.perf_counter() - began
    for row in rows:
        row.stats.target_seconds += seconds
        row.stats.target_passes += 1
    return logits


def fed_to(row: Row, proposal: Proposal) -> Tensor:
    """int64 ``[n]``: what the target of a row is to read, with all candidates."""
    if proposal.block is None:
        return row.unfed
    parts = [row.unfed, proposal.block.candidates]
    if proposal.branches is not None:
        parts.append(torch.tensor(proposal.branches.ids, dtype=torch.int64, device=parts[0].device))
    return torch.cat(parts)


def verify(rows: Sequence[Row], proposals: Sequence[Proposal], logits: Sequence[Tensor]) -> list[Verdict]:
    """What each row emits: decided on the device, and read by the host at once.

    Rows whose logits processors must be called in order are verified position by position instead.
    """
    verdicts: dict[int, Verdict] = {}
    for order, members in by_order(rows).items():
        ours = [rows[i] for i in members], [proposals[i] for i in members], [logits[i] for i in members]
        found = verify_blocks(*ours) if order is None else verify_in_order(order, *ours)
        verdicts.update(zip(members, found, strict=True))
    return [verdicts[i] for i in range(len(rows))]


def commit(rows: Sequence[Row], proposals: Sequence[Proposal], verdicts: Sequence[Verdict]) -> list[Event]:
    """Bring every row up to what it emits."""
    return [
        row.commit(proposal, verdict)
        for row, proposal, verdict in zip(rows, proposals, verdicts, strict=True)
    ]


def show(rows: Sequence[Row], logits: Sequence[Tensor], verdicts: Sequence[Verdict]) -> None:
    """Show the target's logits to whoever watches a row."""
    for row, own, verdict in zip(rows, logits, verdicts, strict=True):
        if row.watch is not None:
            places = verdict.places
            straight = places == list(range(len(places)))
            row.watch(own[: len(places)] if straight else own[places], verdict.token_ids)


def learn(
    rows: Sequence[Row],
    proposals: Sequence[Proposal],
    verdicts: Sequence[Verdict],
    events: Sequence[Event],
    seconds: float,
) -> None:
    """Tell what decides about drafting how the round went."""
    for row, proposal, verdict, event in zip(rows, proposals, verdicts, events, strict=True):
        row.learn(proposal, verdict, event, seconds)


def by_order(rows: Sequence[Row]) -> dict[OrderedProcessors | None, list[int]]:
    """Which rows share processors that must be called in order; ``None``: those that have none."""
    found: dict[OrderedProcessors | None, list[int]] = {}
    for i, row in enumerate(rows):
        found.setdefault(row.order, []).append(i)
    return found
