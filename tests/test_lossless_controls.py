"""The enumeration must catch bugs: each classic mistake, made on purpose, is far from the target's law."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from anydraft.drafting.draw import draw_tokens
from anydraft.drafting.protocol import Block, DraftContext
from anydraft.drafting.string_level import StringLevel
from anydraft.drafting.token_level import TokenLevel, TokenLevelBlock
from anydraft.sampling import Randomness, keep_top_k, to_law
from anydraft.verification import TokenChain, verify, verify_tokens
from enumeration import World
from torch import Tensor
from toys import PAIRS, ToyPair

CAUGHT = 0.01
PARTIAL, DUPLICATES, LONG = (
    next(pair for pair in PAIRS if pair.name == name) for name in ("partial", "duplicates", "long")
)


class OwnMass(TokenLevel):
    """Takes q of the drawn draft token for the mass of its image."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, TokenLevelBlock)
        rows = torch.arange(len(block.candidates))
        own = torch.zeros(len(rows), laws.shape[-1], dtype=laws.dtype)
        own[rows, block.candidates] = block.laws[rows, block.draft_ids]
        return verify_tokens(laws, own, block.candidates, randomness)


class NoImageIsBonus(TokenLevel):
    """Draws from the target's law, not from the residual, where the drafted token has no image."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        drawn = draw_tokens(context, gamma, randomness, torch.ones_like(self._allowed))
        images = self._table[drawn.ids].tolist()
        known = [*images, -1].index(-1)
        return TokenLevelBlock(drawn.ids, torch.tensor(images[:known], dtype=torch.int64), drawn.laws[:known])


class PeekAndDiscard(TokenLevel):
    """Drops a drafted token for its own low probability, and keeps quiet about it."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        block = super().draft(context, gamma, randomness)
        sure = [bool(law[d] > 0.4) for law, d in zip(block.laws, block.draft_ids, strict=True)] + [False]
        kept = sure.index(False)
        return TokenLevelBlock(block.draft_ids, block.candidates[:kept], block.laws[:kept])


class RawLaw(TokenLevel):
    """Verifies against the raw draft law, though the token was drawn from the processed one."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        raw: list[Tensor] = []

        def law(logits: Tensor) -> Tensor:
            raw.append(to_law(logits)[: len(self._allowed)] * self._allowed)
            return keep_top_k(to_law(logits), 3)

        block = super().draft(dataclasses.replace(context, law=law), gamma, randomness)
        rows = torch.stack(raw)
        return dataclasses.replace(block, laws=rows / rows.sum(-1, keepdim=True))


class WrongColumns(TokenLevel):
    """Scatters the draft's probabilities to the target's columns in another order."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, TokenLevelBlock)
        order = self._table.roll(1)
        return verify(TokenChain(laws, block.candidates, block.laws, order), self.rule, randomness)


class BonusAfterRejection(StringLevel):
    """Draws the token after a rejection from the target's law in place of the residual."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        accepted = super().verify(block, laws, randomness)[0]
        return torch.stack((accepted, randomness.draw(laws[accepted])))


class Sharpened(StringLevel):
    """Accepts point-mass candidates more often than the target would draw them."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        sharp = laws**0.5 / (laws**0.5).sum(-1, keepdim=True)
        return super().verify(block, sharp, randomness)


ALL = torch.ones(5, dtype=torch.bool)
CONTROLS: list[tuple[Callable[[ToyPair], TokenLevel | StringLevel], ToyPair]] = [
    (lambda pair: OwnMass(pair.table), DUPLICATES),
    (lambda pair: NoImageIsBonus(pair.table), PARTIAL),
    (lambda pair: PeekAndDiscard(pair.table), DUPLICATES),
    (lambda pair: RawLaw(pair.table), DUPLICATES),
    (lambda pair: WrongColumns(pair.table), DUPLICATES),
    (lambda pair: BonusAfterRejection(ALL), LONG),
    (lambda pair: Sharpened(ALL), LONG),
]


@pytest.mark.parametrize(("bug", "pair"), CONTROLS)
def test_the_enumeration_catches(bug: Callable[[ToyPair], TokenLevel | StringLevel], pair: ToyPair) -> None:
    distances = [World(pair, bug(pair), seed, to_law).distance(2, 2) for seed in range(3)]
    assert min(distances) > CAUGHT, distances
