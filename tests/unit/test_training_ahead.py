"""Lessons with masks: every group is what a draft reads when it drafts behind that place."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from anydraft.errors import ModelFileError
from anydraft.models.ahead import look_ahead
from anydraft.models.loaded import masks_of
from anydraft.models.transformers import TransformersModel
from anydraft.training import loop
from anydraft.training.ahead import SHARE, masked
from anydraft.training.batches import Batch, together
from anydraft.training.sizes import new_model
from training_parts import SHAPE, draft_tokenizer, lessons

DEEP = 3


def model(parallel: int = 1 + DEEP) -> Any:
    return new_model(SHAPE, draft_tokenizer(), 0, parallel).eval()


def chance(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch() -> Batch:
    return together(sorted(lessons(), key=len)[:4])


def test_a_new_model_has_masks_behind_its_tokenizers_ids() -> None:
    width = len(draft_tokenizer())
    assert masks_of(model()) == [width, width + 1, width + 2]
    assert model().config.vocab_size == width + DEEP
    assert masks_of(model(1)) == []
    assert model(1).config.vocab_size == width


def test_a_group_reads_what_a_draft_reads_behind_that_place() -> None:
    """The hidden numbers of training are those of drafting, and so are the places' own."""
    made, given = model(), batch()
    n = given.ids.shape[1]
    whole = masked(given, masks_of(made), chance())
    with torch.no_grad():
        logits = made(
            input_ids=whole.batch.ids,
            position_ids=whole.positions,
            attention_mask=whole.seen,
            use_cache=False,
        ).logits
        alone = made(input_ids=given.ids, use_cache=False).logits
    torch.testing.assert_close(logits[:, :n], alone, atol=1e-4, rtol=0)
    groups = (logits.shape[1] - n) // DEEP
    assert groups > 1
    for row in range(len(given.ids)):
        for group in range(groups):
            first = n + group * DEEP
            place = int(whole.positions[row, first]) - 1
            ours = TransformersModel(made)
            (rows,) = look_ahead([ours], [given.ids[row, : place + 1]], [ours.masks])
            torch.testing.assert_close(logits[row, first : first + DEEP], rows[1:], atol=1e-4, rtol=0)


def test_a_mask_learns_what_is_wanted_so_many_places_later() -> None:
    given = batch()
    n, whole = given.ids.shape[1], masked(given, [300, 301, 302], chance())
    inside = beyond = 0
    for row in range(len(given.ids)):
        for at in range(n, whole.batch.ids.shape[1]):
            depth, position = (at - n) % DEEP + 1, int(whole.positions[row, at])
            assert whole.batch.ids[row, at] == 299 + depth
            assert float(given.weights[row, position - depth].sum()) > 0
            if position < n:
                assert torch.equal(whole.batch.wanted[row, at], given.wanted[row, position])
                assert torch.equal(whole.batch.weights[row, at], given.weights[row, position])
                inside += 1
            else:
                assert not whole.batch.weights[row, at].any()
                beyond += 1
    assert inside > beyond > 0


def test_there_are_as_many_masks_as_was_said_at_random_places() -> None:
    given = batch()
    most = int((given.weights.sum(-1) > 0).sum(-1).amax())
    one, same, other = (masked(given, [300, 301, 302], chance(seed)) for seed in (1, 1, 2))
    count = one.batch.ids.shape[1] - given.ids.shape[1]
    assert abs(count - SHARE * most) <= DEEP
    assert torch.equal(one.positions, same.positions)
    assert not torch.equal(one.positions, other.positions)


def test_the_loss_has_both_parts_and_the_text_is_learnt_as_without() -> None:
    made, given = model(), batch()
    own, beside = loop.ahead_losses(made, given, masks_of(made), chance()).tolist()
    assert own == pytest.approx(loop.lesson_loss(made, given).item(), rel=1e-3)
    assert beside != pytest.approx(own, rel=1e-6)


def test_all_places_are_learnt_and_a_run_that_goes_on_is_the_same(tmp_path: Any) -> None:
    def course(masks: list[int]) -> loop.Course:
        return loop.Course(lessons(), lessons()[:4], 40, 0, tokens=240, masks=masks)

    whole, masks = model(), masks_of(model())
    before = loop.ahead_losses(whole, batch(), masks, chance()).detach()
    assert loop.train(whole, course(masks), lambda *_: None)
    after = loop.ahead_losses(whole, batch(), masks, chance()).detach()
    assert bool((after < before - 0.5).all())
    plain = model()
    assert loop.train(plain, course([]), lambda *_: None)
    untaught = loop.ahead_losses(plain, batch(), masks, chance()).detach()
    assert float(untaught[1]) > float(after[1]) + 0.3

    parts, file = model(), tmp_path / "checkpoint.pt"
    assert not loop.train(
        parts, course(masks), lambda *_: None, checkpoint=file, until=lambda step: step == 9
    )
    parts = model()
    assert loop.train(parts, course(masks), lambda *_: None, checkpoint=file)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ModelFileError, match="another course"):
        loop.train(model(), course([]), lambda *_: None, checkpoint=file)
