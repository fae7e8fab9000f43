"""Drawing a block of draft tokens: the part all strategies share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard, cast

import torch
from torch import Tensor

from anydraft.errors import DraftError
from anydraft.models.joint import advance_together
from anydraft.proposers.base import Block, DraftContext, Drawing, Drawn, Strategy
from anydraft.proposers.draft_state import of_the_draft
from anydraft.sampling.laws import Randomness

Draft = tuple[Strategy, DraftContext, int, Randomness]
"""One row's block to be drafted: its strategy, its context, the number of tokens, its source of chance."""


def draft_together(drafts: Sequence[Draft]) -> list[Block | DraftError]:
    """Draft a block for each row, one pass of the draft model a step for all rows; or why a row failed.

    A block whose draft failed after it had drawn something says so, and is verified all the same.
    """
    rows = [i for i, (strategy, *_) in enumerate(drafts) if draws(strategy)]
    drawn = dict(zip(rows, _draw([drafts[i] for i in rows]), strict=True)) if rows else {}
    blocks: list[Block | DraftError] = []
    for i, (strategy, context, gamma, randomness) in enumerate(drafts):
        if i not in drawn:
            blocks.append(strategy.draft(context, gamma, randomness))
            continue
        found, failure = drawn[i], drawn[i].failure
        if failure is not None and len(found.ids) == 0:
            blocks.append(failure)
            continue
        block = cast(Drawing, strategy).block(found, context)
        blocks.append(block if failure is None else replace(block, failure=failure))
    return blocks


def draws(strategy: Strategy) -> TypeGuard[Drawing]:
    """Whether a strategy draws token by token: what ``isinstance`` says, in a fraction of its time."""
    return hasattr(strategy, "allowed")


def draw_tokens(context: DraftContext, gamma: int, randomness: Randomness, allowed: Tensor) -> Drawn:
    """Draw ``gamma`` >= 1 tokens one after the other, without waiting for the device.

    ``allowed`` bool ``[D]``, on the draft's device and true at least once, says which tokens may be drawn;
    the model's columns beyond it are padding and never drawn. The last token is drawn, not fed to it.

    Raises:
        DraftError: the draft's model failed before anything was drawn.
    """
    (drawn,) = draw_rows([context], [gamma], [randomness], [allowed])
    if drawn.failure is not None and len(drawn.ids) == 0:
        raise drawn.failure
    return drawn


def draw_rows(
    contexts: Sequence[DraftContext],
    gammas: Sequence[int],
    randomness: Sequence[Randomness],
    allowed: Sequence[Tensor],
) -> list[Drawn]:
    """:func:`draw_tokens` for several rows, each step in one pass where their models share one.

    A draft whose model fails is noted in :attr:`Drawn.failure`. What it has drawn stays: whether it fails may
    depend on what that is, so to drop it would change the output's law. A law is missing then; the next token
    is drawn from a point mass, which is known, and ends the block.
    """
    ids: list[list[Tensor]] = [[] for _ in contexts]
    laws: list[list[Tensor]] = [[] for _ in contexts]
    unfed = [context.pending for context in contexts]
    wanted = list(gammas)
    failures: list[DraftError | None] = [None] * len(contexts)
    first = [each.byte().argmax() for each in allowed]
    for step in range(max(gammas)):
        rows = [i for i, gamma in enumerate(wanted) if step < gamma]
        if not rows:
            break
        try:
            with of_the_draft():
                logits = advance_together(
                    [contexts[i].model for i in rows], [unfed[i] for i in rows], [1] * len(rows)
                )
        except DraftError as failure:
            for i in rows:
                failures[i], wanted[i] = failure, step + 1
                if step:
                    law = torch.zeros_like(laws[i][-1]).index_fill_(-1, first[i], 1)
                    ids[i].append(randomness[i].draw(law).view(1))
                    laws[i].append(law)
            continue
        for i, row in zip(rows, logits, strict=True):
            law = allowed_law(contexts[i], row[-1], allowed[i], first[i])
            unfed[i] = randomness[i].draw(law).view(1)
            ids[i].append(unfed[i])
            laws[i].append(law)
    return [
        Drawn(torch.cat(row), torch.stack(law), failure) if row else _nothing(context, failure)
        for context, row, law, failure in zip(contexts, ids, laws, failures, strict=True)
    ]


def _nothing(context: DraftContext, failure: DraftError | None) -> Drawn:
    none = torch.empty(0, dtype=torch.int64, device=context.pending.device)
    return Drawn(none, torch.empty(0, 0, device=none.device), failure)


def _draw(drafts: Sequence[Draft]) -> list[Drawn]:
    strategies, contexts, gammas, randomness = zip(*drafts, strict=True)
    return draw_rows(contexts, gammas, randomness, [strategy.allowed for strategy in strategies])


def allowed_law(
    context: DraftContext, logits: Tensor, allowed: Tensor, first: Tensor | None = None
) -> Tensor:
    """The draft's processed law ``[D]`` of logits ``[vocab]``, over what is allowed (bool ``[D]``).

    What is not allowed is taken away before the processors, or a cut such as top-p might leave nothing else.
    """
    return restrict(context.law(torch.where(allowed, logits[: len(allowed)], -torch.inf)), allowed, first)


def restrict(law: Tensor, allowed: Tensor, first: Tensor | None = None) -> Tensor:
    """The law ``[D]`` given that the token is allowed (bool ``[D]``); ``first``: the first one that is.

    A law that is broken (NaN) or has no mass there becomes a point mass on the first allowed token. The
    output stays exact, because that is then the law drawn from; the target rejects it where it disagrees.
    """
    given = torch.where(allowed, law, 0.0)
    total = given.sum()
    nothing = ~(total > 0)
    first = allowed.byte().argmax() if first is None else first
    given.div_(total).masked_fill_(nothing, 0.0)
    return given.index_add_(0, first.view(1), nothing.to(given).view(1))
