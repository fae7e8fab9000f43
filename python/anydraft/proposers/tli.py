"""Token-level drafting through the intersection of the two vocabularies (TLI)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anydraft.errors import PairError
from anydraft.proposers.base import Block, DraftContext, Drawn
from anydraft.proposers.draw import draw_tokens
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import Rule, TokenChain, verify


@dataclass(frozen=True)
class TokenLevelBlock(Block):
    """A block that remembers the law of every candidate."""

    laws: Tensor
    """``[gamma, D]`` on the target's device: the draft's law given that the token has an image."""


class TokenLevelIntersection:
    """Draft only tokens that the target has too, and verify each against the draft's law over its images.

    The draft's law is restricted to the tokens with an image and renormalised; draft tokens with the same
    image propose it together. Accepted per position: the sum over the target's tokens of ``min(p, q')``.

    Source: Timor et al. 2025 (arXiv 2502.05202), token-level intersection.
    """

    name = "tli"

    def __init__(
        self,
        table: Tensor,
        *,
        rule: Rule = "token",
        draft_device: torch.device | str = "cpu",
        target_device: torch.device | str = "cpu",
    ) -> None:
        """``table`` int64 ``[D]``: the target id of every draft id, or ``NO_TOKEN``.

        Tokens that mark the end of a text or a turn must be in it by role. Raises :class:`PairError` if no
        draft token has an image.
        """
        if not bool((table >= 0).any()):
            raise PairError(
                f"none of the {len(table)} draft tokens stands for a target token; token-level drafting "
                "needs a shared token: use method='slem' for this pair"
            )
        self.rule: Rule = rule
        self.allowed = (table >= 0).to(draft_device)
        self._table = table.clamp(min=0).to(target_device)  # never drawn where there is no image
        self._shared = (table >= 0).nonzero().squeeze(-1).to(target_device)

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        """Draw ``gamma`` tokens that have an image, up to the limit; the candidates are their images."""
        gamma = gamma if context.limit is None else min(gamma, context.limit)
        return self.block(draw_tokens(context, gamma, randomness, self.allowed), context)

    def block(self, drawn: Drawn, context: DraftContext) -> TokenLevelBlock:
        """See :class:`Drawing`."""
        candidates = self._table[drawn.ids.to(context.target_device)]
        return TokenLevelBlock(drawn.ids, candidates, drawn.laws.to(context.target_device))

    def chain(self, block: Block, laws: Tensor) -> TokenChain:
        """See :class:`Chaining`."""
        assert isinstance(block, TokenLevelBlock)
        shared = block.laws.index_select(-1, self._shared)  # all that follows is work for each column
        return TokenChain(laws, block.candidates, shared, self._table[self._shared])

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`."""
        return verify(self.chain(block, laws), self.rule, randomness)
