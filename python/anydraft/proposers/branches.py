"""What else is verified beside a drafted line: the tokens that came close, so that a pass reads a tree."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from anydraft.errors import TokenizerError
from anydraft.proposers.base import Block, Branches, DraftContext

Trees = Literal["auto", "off"]
"""``"auto"``: blocks are trees where the target can be shown them; ``"off"``: always lines."""

BREADTH = 8
"""Tokens that are considered at every step."""

MOST = 16
"""Candidates beside a line, at most."""


def branched(block: Block, likely: tuple[Tensor, Tensor], context: DraftContext) -> Block:
    """The block with the candidates beside its line that are likely enough to pay (``context.least``).

    ``likely``: see :attr:`Drawn.likely`. What was drafted up to a step, and one of the tokens that might have
    stood there, is a text; the target's tokenizer reads these texts, and what they share is there once. They
    are fixed before anything of the target is drawn, and verified by its own draws, so they change no law.
    """
    ids, chances = (part.tolist() for part in likely)
    steps = [list(zip(*step, strict=True)) for step in zip(ids, chances, strict=True)]
    line = block.candidates.tolist() if block.candidate_list is None else block.candidate_list
    limit = context.limit or len(line) + len(steps)
    try:
        found = context.speller.branches(steps, line, more=MOST, least=context.least, depth=limit)
    except TokenizerError:  # it cannot read one of them: the line is enough
        return block
    return replace(block, branches=Branches(*found), candidate_list=line) if found[0] else block
