"""String-level drafting with exact match (SLEM)."""

from __future__ import annotations

import torch
from torch import Tensor

from anydraft.errors import DraftError, TokenizerError
from anydraft.proposers.base import Block, DraftContext, Drawn
from anydraft.proposers.draw import draw_tokens
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import verify_tokens


class StringLevelExactMatch:
    """Draft with the whole draft vocabulary, read the text with the target's tokenizer, demand exact match.

    The proposal is a fixed function of the drafted text, so a candidate is accepted with the target's own
    probability of it. Needs nothing of the vocabularies; best at low temperature.

    Source: Timor et al. 2025 (arXiv 2502.05202), string-level exact match.
    """

    name = "slem"

    def __init__(self, allowed: Tensor, *, draft_device: torch.device | str = "cpu") -> None:
        """``allowed`` bool ``[D]``: the draft ids that may be drawn (not padding, not without any text)."""
        self.allowed = allowed.to(draft_device)

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> Block:
        """Draw ``gamma`` tokens; the candidates may be fewer or more, or none."""
        return self.block(draw_tokens(context, gamma, randomness, self.allowed), context)

    def block(self, drawn: Drawn, context: DraftContext) -> Block:
        """See :class:`Drawing`."""
        drafted: list[int] = drawn.ids.tolist()
        proposed: list[int] = []
        failure = None
        try:
            proposed = context.speller.propose(drafted)[: context.limit]
        except TokenizerError as error:  # it cannot read what was drafted
            failure = DraftError(str(error))
        candidates = torch.tensor(proposed, dtype=torch.int64, device=context.target_device)
        return Block(drawn.ids, candidates, draft_list=drafted, candidate_list=proposed, failure=failure)

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`. The block rule would change nothing: every ratio is at most 1."""
        return verify_tokens(laws, None, block.candidates, randomness)
