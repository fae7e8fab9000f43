"""Several guesses at once: the draft's likeliest tokens, as a tree of the target's."""

from __future__ import annotations

import torch
from torch import Tensor

from anydraft.errors import DraftError, TokenizerError
from anydraft.proposers.base import Block, DraftContext, Drawn
from anydraft.proposers.draw import draw_tokens
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import verify_tokens

_PLACES = 2
"""Places of a tree for each draft token."""

_BREADTH = 8
"""Tokens that are considered at every step."""


class Tree:
    """Draft the likeliest tokens one by one, and at every step note those that came close.

    What was drafted up to a step, and one of those, is a text. The target's tokenizer reads all these texts
    into a tree, of which the likeliest places are kept: two for each draft token. The target reads them in
    one pass; its own token is drawn at the root, then at the place that has it, and so on. That is exact for
    any tree that was fixed before, and nothing of this one is drawn.

    The draft takes as many passes as for a line. Where the target reads no trees, this is a line.

    Source: the walk is the naive sampling of Miao et al. 2024 (SpecInfer, arXiv 2305.09781); trees across
    vocabularies are this project's.
    """

    name = "tree"
    breadth = _BREADTH

    def __init__(self, allowed: Tensor, *, draft_device: torch.device | str = "cpu") -> None:
        """``allowed`` bool ``[D]``: the draft ids that may be drafted (not padding, not without any text)."""
        self.allowed = allowed.to(draft_device)

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> Block:
        """Draft ``gamma`` tokens; the candidates may be fewer or more, or none."""
        return self.block(draw_tokens(context, gamma, randomness, self.allowed, self.breadth), context)

    def block(self, drawn: Drawn, context: DraftContext) -> Block:
        """See :class:`Drawing`."""
        assert drawn.likely is not None
        ids, chances = drawn.likely
        read = torch.cat((ids.double(), chances)).tolist()  # ids are whole numbers far below 2^53
        steps = len(ids)
        likely = [[int(token) for token in row] for row in read[:steps]]
        drafted = [row[0] for row in likely]
        breadth = ids.shape[1] if context.branches else 1
        limit = context.limit or _PLACES * steps
        candidates: list[int] = []
        parents: list[int] = []
        failure = None
        try:
            candidates, parents = context.speller.branches(
                [token for row in likely for token in row[:breadth]],
                [chance for row in read[steps:] for chance in row[:breadth]],
                [],
                breadth=breadth,
                most=_PLACES * steps if context.branches else limit,
                depth=limit,
            )
        except TokenizerError as error:  # it cannot read what was drafted
            failure = DraftError(str(error))
        line = parents == list(range(len(parents)))
        return Block(
            drawn.ids,
            torch.tensor(candidates, dtype=torch.int64, device=context.target_device),
            draft_list=drafted,
            candidate_list=candidates,
            parents=None if line else parents,
            failure=failure,
        )

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`; of a line."""
        return verify_tokens(laws, None, block.candidates, randomness)
