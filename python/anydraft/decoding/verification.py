"""Verifying blocks as they are, on the device; what the host has to know of it comes in one transfer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from anydraft.decoding.proposal import Proposal, Verdict
from anydraft.decoding.sequence import Row
from anydraft.decoding.transfer import to_host
from anydraft.errors import ModelError
from anydraft.models.in_order import OrderedRow
from anydraft.sampling.laws import NAN, Greedy
from anydraft.sampling.rejection import verify_greedy


def verify_blocks(
    rows: Sequence[Row], proposals: Sequence[Proposal], logits: Sequence[Tensor]
) -> list[Verdict]:
    """Verify the candidates of ``rows`` with the target's ``logits`` ``[k_i + 1, V]``, and emit.

    Raises:
        ModelError: the logits of a row are NaN. No row has emitted anything then.
    """
    answers = to_host([judge(*given) for given in zip(rows, proposals, logits, strict=True)])
    if any(broken for _, _, broken, *_ in answers):
        raise target_is_nan()
    return [accept(*given) for given in zip(rows, proposals, answers, strict=True)]


def judge(row: Row, proposal: Proposal, logits: Tensor) -> Tensor:
    """Verify on the device, with the target's ``logits`` ``[k + 1, V]``; :func:`accept` reads the answer.

    Result: int64 ``[3 + ...]``: accepted, next id, whether the target is broken, then :func:`unread`.
    """
    block, law = proposal.block, row.law
    candidates = row.committed.first(0) if block is None else block.candidates
    assert not isinstance(law, OrderedRow)  # those are verified position by position
    if isinstance(row.randomness, Greedy):
        best = row.best(logits, row.committed.ids, candidates)
        following = verify_greedy(best, candidates)
        broken = following[1:] == NAN
    else:
        laws = law(logits, row.committed.ids, candidates)
        if block is None or proposal.strategy is None:
            following = torch.cat((candidates.new_zeros(1), row.randomness.draw(laws[:1])))
        else:
            following = proposal.strategy.verify(block, laws, row.randomness)
        broken = laws[:, 0].isnan().index_select(0, following[:1])  # rows behind that were never reached
    return torch.cat((following, broken, unread(row, proposal)))


def unread(row: Row, proposal: Proposal) -> Tensor:
    """int64 ``[1 + ...]``: whether the draft is broken, then what of its block the host does not have.

    :func:`read_back` reads it.
    """
    block, device = proposal.block, row.target.device
    spoilt = torch.zeros(1, dtype=torch.int64, device=device)
    if block is None:
        return spoilt
    if len(block.draft_ids) and row.draft:
        spoilt = row.draft.broken.to(device).view(1)
    parts = [spoilt]
    if block.draft_list is None:
        parts.append(block.draft_ids.to(device))
    if block.candidate_list is None:
        parts.append(block.candidates)
    return torch.cat(parts) if len(parts) > 1 else spoilt


def read_back(proposal: Proposal, answer: list[int]) -> tuple[list[int], list[int], str | None]:
    """Drafted ids and candidates by the host's copy of :func:`unread`, and why the draft failed."""
    broken, *ids = answer
    failure = "the draft returned NaN" if broken else proposal.failure
    block = proposal.block
    if block is None:
        return [], [], failure
    size = len(block.draft_ids)
    drafted, ids = (ids[:size], ids[size:]) if block.draft_list is None else (block.draft_list, ids)
    return drafted, ids if block.candidate_list is None else block.candidate_list, failure


def accept(row: Row, proposal: Proposal, answer: list[int]) -> Verdict:
    """Emit what :func:`judge` found: the target's cache is cut, and the ids are committed."""
    accepted, following, _, *rest = answer
    drafted, proposed, failure = read_back(proposal, rest)
    # Rejected tokens leave the cache before anything of the user's is called, which may raise.
    row.target.crop(len(row.committed) + accepted)
    new, reason = row.emit([*proposed[:accepted], following])
    return Verdict(drafted, proposed, accepted, new, reason, failure)


def target_is_nan() -> ModelError:
    """What is raised when the target's own answer is no law."""
    return ModelError(
        "the target returned NaN logits; expected numbers. Half precision may overflow: try "
        "dtype=torch.float32 or torch.bfloat16, or look for damaged weights"
    )
