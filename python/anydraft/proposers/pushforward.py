"""Drafting with the whole draft vocabulary, its law pushed forward to target tokens."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from anydraft.errors import PairError
from anydraft.proposers.base import Block, DraftContext, Drawn
from anydraft.proposers.draw import draw_tokens
from anydraft.proposers.expansion import Expansion
from anydraft.sampling.laws import Randomness, renormalise
from anydraft.sampling.rejection import Rule, TokenChain, verify


@dataclass(frozen=True)
class PushforwardBlock(Block):
    """A block that remembers what each candidate was proposed from."""

    weights: Tensor
    """``[k, D]`` on the target's device: the draft's law, given what the candidates before revealed of it."""
    labels: Tensor
    """int64 ``[k, D]`` or ``[D]``: the candidate that each draft token would have given."""


class Pushforward:
    """Propose the target tokens of each draft token, each with the mass of all that agree so far.

    The first target token of a draft token is proposed with the summed mass of the draft tokens that start
    with it. Each further one is proposed given that the draft token goes on after the ones before: nothing
    else of the draft token is revealed. So one long draft token can yield several target tokens.
    """

    name = "pushforward"

    def __init__(
        self,
        offsets: Tensor,
        ids: Tensor,
        *,
        allowed: Tensor | None = None,
        rule: Rule = "token",
        draft_device: torch.device | str = "cpu",
        target_device: torch.device | str = "cpu",
    ) -> None:
        """``offsets`` and ``ids``: see :class:`Expansion`. ``allowed`` bool ``[D]``: which tokens to draft.

        By default all that have target tokens; only those that are in both vocabularies makes this TLI.
        Raises :class:`PairError` if no draft token is left.
        """
        self.rule: Rule = rule
        self._expansion = Expansion(offsets, ids, target_device)
        drawable = offsets.diff() > 0
        self.allowed = (drawable if allowed is None else drawable & allowed.to(offsets.device)).to(
            draft_device
        )
        if not bool(self.allowed.any()):
            raise PairError(
                f"none of the {len(drawable)} draft tokens may be drafted: each needs target tokens that "
                "spell it, and must be allowed"
            )

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> PushforwardBlock:
        """Draw ``gamma`` tokens; the candidates are all their target tokens, up to the limit."""
        return self.block(draw_tokens(context, gamma, randomness, self.allowed), context)

    def block(self, drawn: Drawn, context: DraftContext) -> PushforwardBlock:
        """See :class:`Drawing`."""
        laws = drawn.laws.to(context.target_device)
        limit = sys.maxsize if context.limit is None else context.limit
        candidates: list[int] = []
        weights: list[Tensor] = []
        labels: list[Tensor] = []
        drafted: list[int] = drawn.ids.tolist()
        for position, draft_id in enumerate(drafted):
            row, law, agrees = self._expansion.row(draft_id), laws[position], None
            for depth in range(min(len(row), limit - len(candidates))):
                if depth:
                    agrees = self._expansion.going_on(row[:depth], agrees)
                weights.append(law if agrees is None else renormalise(law * agrees))
                labels.append(self._expansion.column(depth))
                candidates.append(row[depth])
        ids = torch.tensor(candidates, dtype=torch.int64, device=context.target_device)
        same = all(column is labels[0] for column in labels)
        columns = labels[0] if same else torch.stack(labels)
        return PushforwardBlock(
            drawn.ids, ids, torch.stack(weights), columns, draft_list=drafted, candidate_list=candidates
        )

    def chain(self, block: Block, laws: Tensor) -> TokenChain:
        """See :class:`Chaining`."""
        assert isinstance(block, PushforwardBlock)
        return TokenChain(laws, block.candidates, block.weights, block.labels)

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`."""
        return verify(self.chain(block, laws), self.rule, randomness)
