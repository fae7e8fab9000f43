"""Verifying blocks as they are, on the device; what the host has to know of it comes in one transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from anydraft.decoding.proposal import Proposal, Verdict, Walked
from anydraft.decoding.protocols import RememberingLaw
from anydraft.decoding.sequence import Row
from anydraft.decoding.transfer import to_host
from anydraft.decoding.trees import depth_of, own_tokens, walk
from anydraft.errors import ModelError
from anydraft.models.base import Branching
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
    held = [reached(*given) for given in zip(proposals, answers, strict=True)]
    if any(path.following == NAN for path in held):
        raise target_is_nan()
    return [accept(*given) for given in zip(rows, proposals, held, strict=True)]


def judge(row: Row, proposal: Proposal, logits: Tensor) -> Tensor:
    """Verify on the device, with the target's ``logits`` ``[k + 1, V]``; :func:`reached` reads the answer.

    Result, int64: accepted of the line, and the next id, :data:`NAN` if its law is; the target's own token
    behind each candidate beside the line, see :func:`own_tokens`; then :func:`unread`.
    """
    block, law, size = proposal.block, row.law, proposal.size
    candidates = row.committed.first(0) if block is None else block.candidates
    assert not isinstance(law, OrderedRow)  # those are verified position by position
    if proposal.branches is not None:
        candidates = torch.cat((candidates, candidates.new_tensor(proposal.branches.ids)))
    if isinstance(row.randomness, Greedy):
        best = row.best(logits, row.committed.ids, candidates)
        answer = torch.cat((verify_greedy(best[: size + 1], candidates[:size]), best[size + 1 :]))
    else:
        laws = law(logits, row.committed.ids, candidates)
        line, beside = laws[: size + 1], laws[size + 1 :]
        if block is None or proposal.strategy is None:
            answer = torch.cat((candidates.new_zeros(1), row.randomness.draw(line[:1])))
        else:
            answer = proposal.strategy.verify(block, line, row.randomness)
        answer = marked(answer, line)
        if len(beside):
            answer = torch.cat((answer, own_tokens(beside, row.randomness)))
    return torch.cat((answer, unread(row, proposal)))


def marked(answer: Tensor, laws: Tensor) -> Tensor:
    """An answer of a line with :data:`NAN` for the id if its law is; rows behind that were never reached."""
    broken = laws[:, 0].isnan().index_select(0, answer[:1])
    return torch.where(torch.cat((torch.zeros_like(broken), broken)), NAN, answer)


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


class Reached(NamedTuple):
    """How far a verification came, on the host."""

    path: list[int]
    """The candidates that held, by number, one after the other."""
    following: int
    """The id after them."""
    drafted: list[int]
    proposed: list[int]
    """All candidates: the line, then what is beside it."""
    failure: str | None


def reached(proposal: Proposal, answer: list[int]) -> Reached:
    """What :func:`judge` found."""
    beside = proposal.branches.ids if proposal.branches else []
    accepted, following = answer[:2]
    own, rest = answer[2 : 2 + len(beside)], answer[2 + len(beside) :]
    drafted, line, failure = read_back(proposal, rest)
    proposed = [*line, *beside]
    if not beside:
        return Reached(list(range(accepted)), following, drafted, proposed, failure)
    path, following = walk(proposed, proposal.parents, accepted, following, own)
    return Reached(path, following, drafted, proposed, failure)


def accept(row: Row, proposal: Proposal, held: Reached) -> Verdict:
    """Emit what held: the target's cache is cut, and the ids are committed."""
    path, following, drafted, proposed, failure = held
    walked = None
    # Rejected tokens leave the cache before anything of the user's is called, which may raise.
    if proposal.branches is None:
        row.target.crop(len(row.committed) + len(path))
    else:
        cast(Branching, row.target).prune(len(row.committed), path)
        last = path[-1] + 1 if path else 0
        walked = Walked(path, last not in proposal.parents, depth_of(proposal.parents))
        if isinstance(row.law, RememberingLaw):  # before a stop rule asks it for scores
            row.law.held([0, *(i + 1 for i in path)])
    new, reason = row.emit([*(proposed[i] for i in path), following])
    return Verdict(drafted, proposed, len(path), new, reason, failure, walked)


def target_is_nan() -> ModelError:
    """What is raised when the target's own answer is no law."""
    return ModelError(
        "the target returned NaN logits; expected numbers. Half precision may overflow: try "
        "dtype=torch.float32 or torch.bfloat16, or look for damaged weights"
    )
