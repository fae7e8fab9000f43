"""Class coupling: string-level rejection sampling without another pass of the draft (``method="slrs"``)."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from anydraft.errors import PairError
from anydraft.proposers.base import Block, DraftContext, Drawn
from anydraft.proposers.draw import draw_tokens
from anydraft.proposers.slrs.chain import ClassChain
from anydraft.proposers.slrs.plan import ClassPlan, Step
from anydraft.proposers.slrs.spelling import ClassSpelling
from anydraft.proposers.slrs.tables import ClassTables
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import Rule, verify


@dataclass(frozen=True)
class ClassBlock(Block):
    """A block that remembers the chain its candidates are verified by."""

    steps: list[Step]


class ClassCoupling:
    """Propose target tokens longer *and* shorter than a draft token, from one pass per draft token.

    Every target token belongs to the class of the draft token with which the draft starts to write it. First
    the class is verified against the draft's law. Then the member: the next draft token, whose law is there
    already, says whether the draft goes on to write a longer target token.

    It is the string-level rejection sampling of Timor et al. 2025 (arXiv 2502.05202) made practical by
    revealing the draft step by step.
    """

    name = "slrs"

    def __init__(
        self,
        tables: ClassTables,
        width: int,
        *,
        rule: Rule = "token",
        draft_device: torch.device | str = "cpu",
        target_device: torch.device | str = "cpu",
    ) -> None:
        """``width``: the target's number of logits. Raises :class:`PairError` if nothing can be proposed."""
        self.rule: Rule = rule
        self._spelling = ClassSpelling(tables, width, target_device)
        self.allowed = (tables.offsets.diff() > 0).to(draft_device)
        if not bool(self.allowed.any()):
            raise PairError(
                f"none of the {len(tables.image)} draft tokens can be written with target tokens; use "
                "method='slem' for this pair"
            )

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> ClassBlock:
        """Draw ``gamma`` tokens; the candidates are what would be emitted if every symbol were accepted."""
        return self.block(draw_tokens(context, gamma, randomness, self.allowed), context)

    def block(self, drawn: Drawn, context: DraftContext) -> ClassBlock:
        """See :class:`Drawing`."""
        limit = sys.maxsize if context.limit is None else context.limit
        drafted: list[int] = drawn.ids.tolist()
        plan = ClassPlan(self._spelling, drawn.laws.to(context.target_device), drafted, limit).build()
        candidates = torch.tensor(plan.candidates, dtype=torch.int64, device=context.target_device)
        return ClassBlock(
            drawn.ids, candidates, plan.steps, draft_list=drafted, candidate_list=plan.candidates
        )

    def chain(self, block: Block, laws: Tensor) -> ClassChain:
        """See :class:`Chaining`."""
        assert isinstance(block, ClassBlock)
        return ClassChain(laws, block.steps, self._spelling)

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`."""
        return verify(self.chain(block, laws), self.rule, randomness)
