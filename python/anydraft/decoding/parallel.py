"""A round of several processes that hold one target together: the first decides, the others take its word."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import torch

from anydraft.decoding.events import Event
from anydraft.decoding.loop import advance, by_order, commit, learn, next_round, propose, show, verify
from anydraft.decoding.proposal import Proposal
from anydraft.decoding.sequence import Row
from anydraft.decoding.step_by_step import retrace
from anydraft.proposers.base import Block

Value = TypeVar("Value")


class Team(Protocol):
    """The processes; see :mod:`anydraft.models.tensor_parallel`."""

    leads: bool
    """Whether this process drafts, draws and decides."""

    def share(self, value: Value) -> Value:
        """What the leading process has in place of ``value``; an exception is raised everywhere."""


def round_with(team: Team | None) -> Callable[[Sequence[Row]], list[Event]]:
    """The round of a target that this process has whole (``None``), or shares."""
    return next_round if team is None else partial(_follow if not team.leads else _lead, team)


def _lead(team: Team, rows: Sequence[Row]) -> list[Event]:
    """As :func:`~anydraft.decoding.loop.next_round`; candidates and events are sent to the others."""
    began = time.perf_counter()
    try:
        proposals = propose(rows)
    except Exception as error:
        team.share(error)
        raise
    team.share([_listed(proposal) for proposal in proposals])
    logits = advance(rows, proposals)
    try:
        verdicts = verify(rows, proposals, logits)
        events = commit(rows, proposals, verdicts)
    except Exception as error:
        team.share(error)  # which raises it, here too
        raise
    team.share(events)
    show(rows, logits, verdicts)
    learn(rows, proposals, verdicts, events, time.perf_counter() - began)
    return events


def _follow(team: Team, rows: Sequence[Row]) -> list[Event]:
    """Run the target's pass over the leader's candidates, and commit what it emits."""
    began = time.perf_counter()
    none: list[list[int] | None] = []
    proposals = [_given(row, ids) for row, ids in zip(rows, team.share(none), strict=True)]
    logits = advance(rows, proposals)
    events: list[Event] = team.share([])
    for order, members in by_order(rows).items():
        if order is not None:
            retrace(
                order, [rows[i] for i in members], [logits[i] for i in members], [events[i] for i in members]
            )
    seconds = time.perf_counter() - began
    for row, proposal, own, event in zip(rows, proposals, logits, events, strict=True):
        row.follow(proposal, own, event, seconds)
    return events


def _listed(proposal: Proposal) -> list[int] | None:
    """The candidates on the host."""
    block = proposal.block
    if block is None:
        return None
    ids: list[int] = block.candidates.tolist() if block.candidate_list is None else block.candidate_list
    return ids


def _given(row: Row, candidates: list[int] | None) -> Proposal:
    """The leader's candidates, without what they were drafted from."""
    if candidates is None:
        return Proposal(row.start())
    ids = torch.tensor(candidates, dtype=torch.int64, device=row.target.device)
    block = Block(ids[:0], ids, draft_list=[], candidate_list=candidates)
    return Proposal(row.start(), block=block)
