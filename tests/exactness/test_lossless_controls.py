"""The enumeration must catch bugs: each mistake, made on purpose, is far from the target's law."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from anydraft.proposers.base import Block, DraftContext, Strategy
from anydraft.proposers.draw import draw_tokens
from anydraft.proposers.pushforward import Pushforward, PushforwardBlock
from anydraft.proposers.slem import StringLevelExactMatch
from anydraft.proposers.slrs.chain import ClassChain
from anydraft.proposers.slrs.plan import ClassPlan
from anydraft.proposers.slrs.proposer import ClassBlock, ClassCoupling
from anydraft.proposers.tli import TokenLevelBlock, TokenLevelIntersection
from anydraft.sampling.laws import Randomness, to_law
from anydraft.sampling.rejection import NO_TOKEN, TokenChain, residual_law, verify, verify_tokens
from cuts import keep_top_k
from enumeration import World
from toys import PAIRS, ToyPair

CAUGHT = 4e-3
PAIR = {pair.name: pair for pair in PAIRS}


def assert_caught(distances: list[float]) -> None:
    """A bug may be rare in one random world; it must be plain in some, and never look exact."""
    assert max(distances) > CAUGHT, distances
    assert min(distances) > 1e-6, distances


class OwnMass(TokenLevelIntersection):
    """Takes q of the drawn draft token for the mass of its image."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, TokenLevelBlock)
        rows = torch.arange(len(block.candidates))
        own = torch.zeros(len(rows), laws.shape[-1], dtype=laws.dtype)
        own[rows, block.candidates] = block.laws[rows, block.draft_ids]
        return verify_tokens(laws, own, block.candidates, randomness)


class NoImageIsBonus(TokenLevelIntersection):
    """Draws from the target's law, not from the residual, where the drafted token has no image."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        drawn = draw_tokens(context, gamma, randomness, torch.ones_like(self.allowed))
        images = torch.where(self.allowed, self._table, NO_TOKEN)[drawn.ids].tolist()
        known = [*images, NO_TOKEN].index(NO_TOKEN)
        candidates = torch.tensor(images[:known], dtype=torch.int64)
        return TokenLevelBlock(drawn.ids, candidates, drawn.laws[:known])


class PeekAndDiscard(TokenLevelIntersection):
    """Drops a drafted token for its own low probability, and keeps quiet about it."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        block = super().draft(context, gamma, randomness)
        sure = [bool(law[d] > 0.4) for law, d in zip(block.laws, block.draft_ids, strict=True)]
        kept = [*sure, False].index(False)
        return TokenLevelBlock(block.draft_ids, block.candidates[:kept], block.laws[:kept])


class RawLaw(TokenLevelIntersection):
    """Verifies against the raw draft law, though the token was drawn from the processed one."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> TokenLevelBlock:
        raw: list[Tensor] = []

        def law(logits: Tensor) -> Tensor:
            raw.append(to_law(logits)[: len(self.allowed)] * self.allowed)
            return keep_top_k(to_law(logits), 3)

        block = super().draft(dataclasses.replace(context, law=law), gamma, randomness)
        rows = torch.stack(raw)
        return dataclasses.replace(block, laws=rows / rows.sum(-1, keepdim=True))


class WrongColumns(TokenLevelIntersection):
    """Scatters the draft's probabilities to the target's columns in another order."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, TokenLevelBlock)
        chain = TokenChain(laws, block.candidates, block.laws, self._table.roll(1))
        return verify(chain, self.rule, randomness)


class BonusAfterRejection(StringLevelExactMatch):
    """Draws the token after a rejection from the target's law in place of the residual."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        accepted = super().verify(block, laws, randomness)[0]
        return torch.stack((accepted, randomness.draw(laws[accepted])))


class Sharpened(StringLevelExactMatch):
    """Accepts point-mass candidates more often than the target would draw them."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        sharp = laws**0.5 / (laws**0.5).sum(-1, keepdim=True)
        return super().verify(block, sharp, randomness)


class OwnToken(Pushforward):
    """Takes q of the drawn draft token for the mass of its first target token."""

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        assert isinstance(block, PushforwardBlock)
        per_candidate = block.draft_ids.repeat_interleave(self._expansion.lengths[block.draft_ids])
        drawn = torch.nn.functional.one_hot(per_candidate, block.weights.shape[-1])
        alone = dataclasses.replace(block, weights=block.weights * drawn)
        return super().verify(alone, laws, randomness)


class CutLater(ClassCoupling):
    """Lets the loop cut the candidates, so that a cut looks like a block that ended in a proposal."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> ClassBlock:
        block = super().draft(dataclasses.replace(context, limit=None), gamma, randomness)
        rows = len(block.candidates[: context.limit])
        cut = [step for step in block.steps if step.row < rows or len(block.candidates) == rows]
        return ClassBlock(block.draft_ids, block.candidates[:rows], cut)


class NothingIsBonus(ClassCoupling):
    """Draws from the target's law where nothing was proposed."""

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> ClassBlock:
        block = super().draft(context, gamma, randomness)
        rows = len(block.candidates)
        return dataclasses.replace(block, steps=[step for step in block.steps if step.row < rows])

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        if len(block.candidates) == 0:
            return torch.stack((torch.tensor(0), randomness.draw(laws[0])))
        return super().verify(block, laws, randomness)


CONTROLS: list[tuple[Callable[[ToyPair], Strategy], str]] = [
    (lambda pair: OwnMass(pair.table), "duplicates"),
    (lambda pair: NoImageIsBonus(pair.table), "partial"),
    (lambda pair: PeekAndDiscard(pair.table), "duplicates"),
    (lambda pair: RawLaw(pair.table), "duplicates"),
    (lambda pair: WrongColumns(pair.table), "duplicates"),
    (lambda pair: WrongColumns(pair.table, rule="block"), "duplicates"),
    (lambda pair: BonusAfterRejection(torch.ones(len(pair.draft), dtype=torch.bool)), "long"),
    (lambda pair: Sharpened(torch.ones(len(pair.draft), dtype=torch.bool)), "long"),
    (lambda pair: OwnToken(pair.tables.offsets, pair.tables.ids), "long"),
    (lambda pair: NothingIsBonus(pair.tables, len(pair.target)), "mirror"),
]


@pytest.mark.parametrize(("bug", "name"), CONTROLS)
def test_the_enumeration_catches(bug: Callable[[ToyPair], Strategy], name: str) -> None:
    distances = [World(PAIR[name], bug(PAIR[name]), seed, quick=False).distance(2, 2) for seed in range(3)]
    assert_caught(distances)


def test_the_enumeration_catches_a_limit_that_is_kept_from_the_strategy() -> None:
    pair = PAIR["mirror"]
    distances = [
        World(pair, CutLater(pair.tables, len(pair.target)), seed, limit=1).distance(2, 3)
        for seed in range(3)
    ]
    assert_caught(distances)


def forgetful(self: ClassPlan, position: int, agrees: Tensor | None) -> Tensor:
    """Forgets what the steps before revealed of a draft token."""
    return self.laws[position]


def from_the_target(self: ClassChain, kept: Tensor, scale: Tensor) -> Tensor:
    """Recovers from the target's law, whatever was rejected."""
    return self.laws[self.finished[kept]]


def ignoring_the_class(self: ClassChain, kept: Tensor, scale: Tensor) -> Tensor:
    """After a rejected member, recovers as if its class had not been accepted."""
    law = self.laws[self.finished[kept]]
    if kept == len(self.steps):
        return law
    step = self.steps[int(kept)]
    size = self.spelling.size if step.classwise else len(law)
    labels = (
        step.labels if not step.classwise else self.spelling.class_of.new_full((len(step.labels),), len(law))
    )
    proposed = law.new_zeros(max(size, len(law)) + 1).scatter_add_(0, labels, step.weights)[: len(law)]
    return residual_law(law - proposed, law)


@pytest.mark.parametrize("rule", ["token", "block"])
@pytest.mark.parametrize(
    ("owner", "name", "bug", "pair"),
    [
        (ClassPlan, "_given", forgetful, "spaces"),
        (ClassPlan, "_given", forgetful, "line"),
        (ClassChain, "recover", from_the_target, "short"),
        (ClassChain, "recover", ignoring_the_class, "short"),
    ],
)
def test_the_enumeration_catches_in_class_coupling(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, bug: object, pair: str, rule: str
) -> None:
    monkeypatch.setattr(owner, name, bug)
    toy = PAIR[pair]
    distances = [
        World(toy, ClassCoupling(toy.tables, len(toy.target), rule=rule), seed).distance(2, 2)
        for seed in range(3)
    ]
    assert_caught(distances)


@pytest.mark.parametrize("make", ["tli", "pushforward", "classes"])
def test_the_enumeration_catches_the_block_rule_with_the_token_rules_residual(
    monkeypatch: pytest.MonkeyPatch, make: str
) -> None:
    pair = PAIR["duplicates"]
    strategy: Strategy
    if make == "tli":
        strategy = TokenLevelIntersection(pair.table, rule="block")
    elif make == "pushforward":
        strategy = Pushforward(pair.tables.offsets, pair.tables.ids, rule="block")
    else:
        strategy = ClassCoupling(pair.tables, len(pair.target), rule="block")
    for chain in (TokenChain, ClassChain):
        right = chain.recover
        monkeypatch.setattr(
            chain, "recover", lambda self, kept, scale, right=right: right(self, kept, torch.ones_like(scale))
        )
    distances = [World(pair, strategy, seed).distance(2, 2) for seed in range(3)]
    assert_caught(distances)
