"""What the strategies propose, beside the law they emit (test_lossless_*)."""

from __future__ import annotations

import pytest
import torch

from anydraft.errors import PairError
from anydraft.proposers.base import DraftContext
from anydraft.proposers.draw import draw_tokens, restrict
from anydraft.proposers.slem import StringLevelExactMatch
from anydraft.proposers.tli import TokenLevelIntersection
from anydraft.sampling.laws import SeededRandomness, to_law
from toys import PAIRS, ToyModel

PAIR = PAIRS[0]
CPU = torch.device("cpu")


def context(model: ToyModel) -> DraftContext:
    return DraftContext(
        model=model,
        pending=torch.tensor([0, 1]),
        law=to_law,
        speller=PAIR,
        target_device=CPU,
        target_width=len(PAIR.target),
    )


def test_drawing_feeds_all_but_the_last_token_and_keeps_the_laws() -> None:
    model = ToyModel(len(PAIR.draft) + 3, 0)
    allowed = torch.tensor([True, True, False, True, True])
    drawn = draw_tokens(context(model), 4, SeededRandomness(0), allowed)
    ids = drawn.ids.tolist()
    assert model.context == [0, 1, *ids[:3]]
    assert drawn.laws.shape == (4, 5)
    assert 2 not in ids
    for i in range(4):
        law = model.law((0, 1, *ids[:i]))[:5] * allowed
        assert torch.allclose(drawn.laws[i], law / law.sum())


def test_restrict_without_mass_is_a_point_mass() -> None:
    allowed = torch.tensor([False, True, True])
    for law in ([1.0, 0.0, 0.0], [0.5, torch.nan, 0.5]):
        assert restrict(torch.tensor(law), allowed).tolist() == [0.0, 1.0, 0.0]


def test_token_level_proposes_images_only() -> None:
    block = TokenLevelIntersection(PAIR.table).draft(context(ToyModel(6, 0)), 5, SeededRandomness(0))
    assert torch.equal(block.candidates, PAIR.table[block.draft_ids])
    assert (block.candidates >= 0).all()
    assert torch.allclose(block.laws.sum(-1), torch.ones(5).double())


def test_token_level_needs_a_shared_token() -> None:
    with pytest.raises(PairError, match="slem"):
        TokenLevelIntersection(torch.full((7,), -1))


def test_string_level_proposes_the_targets_reading() -> None:
    strategy = StringLevelExactMatch(torch.ones(5, dtype=torch.bool))
    for seed in range(10):
        block = strategy.draft(context(ToyModel(6, seed)), 3, SeededRandomness(seed))
        assert block.candidates.tolist() == PAIR.propose(block.draft_ids.tolist())


def test_string_level_may_propose_nothing() -> None:
    class Mute:
        def propose(self, draft_ids: list[int]) -> list[int]:
            return []

    strategy = StringLevelExactMatch(torch.ones(5, dtype=torch.bool))
    given = context(ToyModel(6, 0))
    given = DraftContext(given.model, given.pending, given.law, Mute(), CPU, given.target_width)
    block = strategy.draft(given, 2, SeededRandomness(0))
    assert block.candidates.shape == (0,)
    laws = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    assert strategy.verify(block, laws, SeededRandomness(0)).tolist() == [0, 1]
