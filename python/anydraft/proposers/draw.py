"""Drawing a block of draft tokens: the part all strategies share."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeGuard

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from anydraft.errors import DraftError, ModelError
from anydraft.models.ahead import ahead_by, look_ahead
from anydraft.proposers.base import Block, DraftContext, Drawing, Drawn, Strategy
from anydraft.proposers.branches import branched
from anydraft.proposers.draft_state import of_the_draft
from anydraft.sampling.laws import Randomness

_points: MutableMapping[Tensor, Tensor] = WeakIdKeyDictionary()
"""By what is allowed: :func:`first_allowed`."""

Draft = tuple[Strategy, DraftContext, int, Randomness]
"""One row's block to be drafted: its strategy, its context, the number of tokens, its source of chance."""


def draft_together(drafts: Sequence[Draft]) -> list[Block | DraftError]:
    """Draft a block for each row, one pass of the draft model a step for all rows; or why a row failed.

    A block whose draft failed after it had drawn something says so, and is verified all the same.
    """
    drawing = [
        Draws(context, gamma, randomness, strategy.allowed)
        for strategy, context, gamma, randomness in drafts
        if draws(strategy)
    ]
    found = iter(draw_rows(drawing))
    blocks: list[Block | DraftError] = []
    for strategy, context, gamma, randomness in drafts:
        if not draws(strategy):
            blocks.append(strategy.draft(context, gamma, randomness))
            continue
        drawn = next(found)
        failure = drawn.failure
        if failure is not None and len(drawn.ids) == 0:
            blocks.append(failure)
            continue
        block = strategy.block(drawn, context)
        if drawn.likely is not None:
            block = branched(block, drawn.likely, context)
        blocks.append(block if failure is None else replace(block, failure=failure))
    return blocks


def draws(strategy: Strategy) -> TypeGuard[Drawing]:
    """Whether a strategy draws token by token: what ``isinstance`` says, in a fraction of its time."""
    return hasattr(strategy, "allowed")


def draw_tokens(context: DraftContext, gamma: int, randomness: Randomness, allowed: Tensor) -> Drawn:
    """Draw ``gamma`` >= 1 tokens one after the other, without waiting for the device.

    A draft that looks ahead (:mod:`anydraft.models.ahead`) gives the laws of several tokens in one pass:
    they do not depend on what is drawn between, and are the laws given all that was drawn before the pass.

    ``allowed`` bool ``[D]``, on the draft's device and true at least once, says which tokens may be drawn;
    the model's columns beyond it are padding and never drawn. The last token is drawn, not fed to it.

    Raises:
        DraftError: the draft's model failed before anything was drawn.
    """
    (drawn,) = draw_rows([Draws(context, gamma, randomness, allowed)])
    if drawn.failure is not None and len(drawn.ids) == 0:
        raise drawn.failure
    return drawn


@dataclass
class Draws:
    """What :func:`draw_tokens` is given for one row, and what has been drawn of it."""

    context: DraftContext
    gamma: int
    """The number of tokens."""
    randomness: Randomness
    allowed: Tensor
    ids: list[Tensor] = field(default_factory=list)
    """int64 ``[1]`` each."""
    laws: list[Tensor] = field(default_factory=list)
    likely: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """See :attr:`Drawn.likely`: ``[b]`` each."""
    failure: DraftError | None = None

    def __post_init__(self) -> None:
        """Nothing is drawn yet."""
        self.unfed = self.context.pending
        self._masks = ahead_by(self.context.model)

    @property
    def masks(self) -> Tensor:
        """int64 ``[m]``: what the next pass reads to see further; empty if the draft cannot, or need not."""
        more = self.gamma - len(self.ids) - 1
        return self._masks if len(self._masks) <= more else self._masks[:more]

    def next(self, logits: Tensor) -> None:
        """Draw the next tokens, one by each of the draft's ``logits`` ``[n, vocab]``."""
        drawn = [self._draw(logits[place]) for place in range(len(logits))]
        self.ids += drawn
        self.unfed = drawn[0] if len(drawn) == 1 else torch.cat(drawn)

    def _draw(self, logits: Tensor) -> Tensor:
        """One token, int64 ``[1]``, by ``logits`` ``[vocab]``."""
        context, breadth = self.context, min(self.context.breadth, len(self.allowed))
        if context.best is None:
            law = allowed_law(context, logits, self.allowed)
            token = self.randomness.draw(law).view(1)
            self.laws.append(law)
            if breadth:
                chances, ids = law.topk(breadth)
                drawn = law.index_select(0, token)
                self.likely.append((torch.cat((token, ids)), torch.cat((drawn, chances))))
            return token
        if breadth and context.likely:
            chances, ids = context.likely(only(self.allowed, logits)).topk(breadth)
            self.likely.append((ids, chances))
            return ids[:1]
        return context.best(only(self.allowed, logits)).view(1)

    def end(self, failure: DraftError) -> None:
        """The draft has failed; see :func:`draw_rows`."""
        self.failure = failure
        if self.ids:
            law = first_allowed(self.allowed, self.laws[-1].dtype if self.laws else torch.float32)
            self.ids.append(self.randomness.draw(law).view(1))
            self.laws += [law] if self.laws else []

    @property
    def drawn(self) -> Drawn:
        """All of it."""
        likely = None
        if self.likely:
            likely = torch.stack([ids for ids, _ in self.likely]), torch.stack([c for _, c in self.likely])
        if self.laws:
            return Drawn(torch.cat(self.ids), torch.stack(self.laws), self.failure, likely)
        if self.ids:
            ids = torch.cat(self.ids)
            first = first_allowed(self.allowed, torch.float32).argmax()  # where nothing had a probability
            ids = torch.where(self.allowed.index_select(0, ids), ids, first)
            laws = ids.new_zeros((len(ids), len(self.allowed)), dtype=torch.float32)
            return Drawn(ids, laws.scatter_(1, ids[:, None], 1.0), self.failure, likely)
        none = self.context.pending[:0]
        return Drawn(none, none.new_empty(0, 0, dtype=torch.float32), self.failure)


def draw_rows(rows: Sequence[Draws]) -> list[Drawn]:
    """:func:`draw_tokens` for several rows, each step in one pass where their models share one.

    A draft whose model fails is noted in :attr:`Drawn.failure`. What it has drawn stays: whether it fails may
    depend on what that is, so to drop it would change the output's law. A law is missing then; the next token
    is drawn from a point mass, which is known, and ends the block.
    """
    going = rows
    while going:
        try:
            models, unfed = [row.context.model for row in going], [row.unfed for row in going]
            logits = look_ahead(models, unfed, [row.masks for row in going])
            for row, own in zip(going, logits, strict=True):
                check(own, len(row.allowed))
        except Exception as error:
            failure = of_the_draft(error)
            failure.__cause__ = error
            for row in going:
                row.end(failure)
            break
        for row, own in zip(going, logits, strict=True):
            row.next(own)
        going = [row for row in going if len(row.ids) < row.gamma]
    return [row.drawn for row in rows]


def check(logits: Tensor, width: int) -> None:
    """Raise :class:`ModelError` for what no law can be made of: logits are to be ``[n, vocab]``, real."""
    if not (logits.dim() == 2 and len(logits) and logits.shape[1] >= width and logits.is_floating_point()):
        raise ModelError(
            f"got logits of shape {list(logits.shape)} in {logits.dtype}; expected real numbers [n, v], "
            f"n >= 1, v >= {width}"
        )


def allowed_law(context: DraftContext, logits: Tensor, allowed: Tensor) -> Tensor:
    """The draft's processed law ``[D]`` of logits ``[vocab]``, over what is allowed (bool ``[D]``).

    What is not allowed is taken away before the processors, or a cut such as top-p might leave nothing else.
    """
    return restrict(context.law(only(allowed, logits)), allowed)


def only(allowed: Tensor, logits: Tensor) -> Tensor:
    """Logits ``[vocab]`` of what is allowed, bool ``[D]``; minus infinity for the rest: ``[D]``."""
    return torch.where(allowed, logits[: len(allowed)], _minus_infinity(logits.dtype, logits.device))


def restrict(law: Tensor, allowed: Tensor) -> Tensor:
    """The law ``[D]`` given that the token is allowed (bool ``[D]``).

    A law that is broken (NaN) or has no mass there becomes a point mass on the first allowed token. The
    output stays exact, because that is then the law drawn from; the target rejects it where it disagrees.
    """
    given = law * allowed
    total = given.sum()
    return torch.where(total > 0, given.div_(total), first_allowed(allowed, law.dtype))


def first_allowed(allowed: Tensor, dtype: torch.dtype) -> Tensor:
    """The point mass ``[D]`` on the first token that is allowed (bool ``[D]``, true at least once)."""
    known = _points.get(allowed)
    if known is None or known.dtype != dtype:
        known = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        known.index_fill_(-1, allowed.byte().argmax(), 1)
        _points[allowed] = known
    return known


@cache
def _minus_infinity(dtype: torch.dtype, device: torch.device) -> Tensor:
    """As a tensor there: a number would be copied there every time."""
    return torch.full((), -torch.inf, dtype=dtype, device=device)
