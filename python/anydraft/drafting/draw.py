"""Drawing a block of draft tokens: the part all strategies share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from anydraft.drafting.protocol import Block, DraftContext, Drawing, Drawn, Strategy
from anydraft.models.together import advance_together
from anydraft.sampling import Randomness

Result = TypeVar("Result")

Draft = tuple[Strategy, DraftContext, int, Randomness]
"""One row's block to be drafted: its strategy, its context, the number of tokens, its source of chance."""


def draft_together(drafts: Sequence[Draft]) -> list[Block | Exception]:
    """Draft a block for each row, one pass of the draft model a step for all rows; or why a row failed.

    Rows whose strategies do not draw token by token (:class:`Drawing`) are drafted one after the other.
    """
    rows = [i for i, (s, *_) in enumerate(drafts) if isinstance(s, Drawing)] if len(drafts) > 1 else []
    joint = {i: place for place, i in enumerate(rows)}
    drawn = _caught(partial(_draw, [drafts[i] for i in joint])) if len(joint) > 1 else None
    blocks: list[Block | Exception] = []
    for i, (strategy, context, gamma, randomness) in enumerate(drafts):
        if drawn is None or i not in joint:
            blocks.append(_caught(partial(strategy.draft, context, gamma, randomness)))
        elif isinstance(drawn, Exception):
            blocks.append(drawn)
        else:
            assert isinstance(strategy, Drawing)
            blocks.append(_caught(partial(strategy.block, drawn[joint[i]], context)))
    return blocks


def draw_tokens(context: DraftContext, gamma: int, randomness: Randomness, allowed: Tensor) -> Drawn:
    """Draw ``gamma`` >= 1 tokens one after the other, without waiting for the device.

    Fewer if ``context.ending`` says so, which has to wait.

    ``allowed`` bool ``[D]``, on the draft's device and true at least once, says which tokens may be drawn;
    the model's columns beyond it are padding and never drawn. The last token is drawn, not fed to it.
    """
    return draw_rows([context], [gamma], [randomness], [allowed])[0]


def draw_rows(
    contexts: Sequence[DraftContext],
    gammas: Sequence[int],
    randomness: Sequence[Randomness],
    allowed: Sequence[Tensor],
) -> list[Drawn]:
    """:func:`draw_tokens` for several rows, each step in one pass where their models share one."""
    ids: list[list[Tensor]] = [[] for _ in contexts]
    laws: list[list[Tensor]] = [[] for _ in contexts]
    unfed = [context.pending for context in contexts]
    wanted = list(gammas)
    first = [each.byte().argmax() for each in allowed]
    for step in range(max(gammas)):
        rows = [i for i, gamma in enumerate(wanted) if step < gamma]
        if not rows:
            break
        logits = advance_together(
            [contexts[i].model for i in rows], [unfed[i] for i in rows], [1] * len(rows)
        )
        for i, row in zip(rows, logits, strict=True):
            ending = contexts[i].ending
            if ending is not None and step + 1 < wanted[i] and ending.is_last(row[-1][: len(allowed[i])]):
                wanted[i] = step + 1
            law = allowed_law(contexts[i], row[-1], allowed[i], first[i])
            unfed[i] = randomness[i].draw(law).view(1)
            ids[i].append(unfed[i])
            laws[i].append(law)
    return [Drawn(torch.cat(row), torch.stack(law)) for row, law in zip(ids, laws, strict=True)]


def _draw(drafts: Sequence[Draft]) -> list[Drawn]:
    strategies, contexts, gammas, randomness = zip(*drafts, strict=True)
    return draw_rows(contexts, gammas, randomness, [strategy.allowed for strategy in strategies])


def _caught(run: Callable[[], Result]) -> Result | Exception:
    try:
        return run()
    except Exception as error:
        return error


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
