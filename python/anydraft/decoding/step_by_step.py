"""Verifying one position after the other, for logits processors that must be called in order.

At each position every row draws the target's own token; if it is the candidate, the walk goes on to the next
one. So a candidate is accepted with the target's own probability of it, which is exact for any candidates
that were fixed before. All rows of a batch stop where the first of them does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import torch
from torch import Tensor

from anydraft.decoding.events import Event, FinishReason
from anydraft.decoding.proposal import Proposal, Verdict
from anydraft.decoding.sequence import Row
from anydraft.decoding.transfer import to_host
from anydraft.decoding.verification import read_back, target_is_nan, unread
from anydraft.models.in_order import OrderedProcessors, OrderedRow
from anydraft.sampling.laws import NAN, Greedy


def verify_in_order(
    order: OrderedProcessors, rows: Sequence[Row], proposals: Sequence[Proposal], logits: Sequence[Tensor]
) -> list[Verdict]:
    """Verify the candidates of ``rows`` with the target's ``logits`` ``[k_i + 1, V]``, and emit."""
    places = places_of(rows)
    answers = to_host([unread(row, proposal) for row, proposal in zip(rows, proposals, strict=True)])
    drawn = [read_back(*given) for given in zip(proposals, answers, strict=True)]
    emitted: list[list[int]] = [[] for _ in rows]
    accepted = [0] * len(rows)
    reasons: list[FinishReason | None] = [None] * len(rows)
    ended = False
    for step in count():
        scores = order.scores({place: own[step] for place, own in zip(places, logits, strict=True)})
        tokens = _choose(order, rows, [scores[place] for place in places])
        order.append(dict(zip(places, tokens, strict=True)))
        for i, (row, token, (_, candidates, _)) in enumerate(zip(rows, tokens, drawn, strict=True)):
            stands = step < len(candidates) and token == candidates[step]
            if not stands:  # leaves the cache before anything of the user's is called, which may raise
                row.target.crop(len(row.committed))
            new, reasons[i] = row.emit([token])
            emitted[i] += new
            accepted[i] += stands
            ended = ended or not stands or reasons[i] is not None
        if ended:
            break
    return [
        Verdict(
            drafted,
            candidates,
            min(kept, len(new)),
            new,
            reason,
            failure,
            judged=min(len(new), len(candidates)),
        )
        for (drafted, candidates, failure), kept, new, reason in zip(
            drawn, accepted, emitted, reasons, strict=True
        )
    ]


def places_of(rows: Sequence[Row]) -> list[int]:
    """The rows' numbers among those that share processors."""
    return [row.law.place for row in rows if isinstance(row.law, OrderedRow)]


def retrace(
    order: OrderedProcessors, rows: Sequence[Row], logits: Sequence[Tensor], events: Sequence[Event]
) -> None:
    """Show the processors what another process, which runs the same decode, has emitted."""
    places = places_of(rows)
    for step in range(max(len(event.token_ids) for event in events)):
        order.scores({place: own[step] for place, own in zip(places, logits, strict=True)})
        order.append({place: event.token_ids[step] for place, event in zip(places, events, strict=True)})


def _choose(order: OrderedProcessors, rows: Sequence[Row], scores: Sequence[Tensor]) -> list[int]:
    """The target's own token for each row, by its scores ``[V]``."""
    found = []
    for row, own in zip(rows, scores, strict=True):
        if isinstance(row.randomness, Greedy):
            found.append(order.best(own).view(1))
        else:
            law = order.law(own)
            found.append(row.randomness.draw(law[None]).masked_fill(law[0].isnan(), NAN))
    tokens: list[int] = torch.cat(found).tolist()
    if NAN in tokens:
        raise target_is_nan()
    return tokens
