"""Caches of sequences in llama.cpp: whatever was fed and cropped, logits are those of a fresh prefill."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.joint import advance_together
from anydraft.models.llama_cpp.context import Context
from anydraft.models.llama_cpp.source import LlamaCppSource
from files import TEXT, file, opened


def read(model: Any, ids: Tensor, steps: list[int]) -> Tensor:
    """Logits of all ids, fed in steps."""
    return torch.cat([model.advance(part, len(part)) for part in ids.split(steps)])


def test_logits_are_llama_cpps_own_for_every_fed_token(llama: Any, ids: Tensor) -> None:
    theirs = opened(n_batch=32, logits_all=True)
    for start in (0, 32, 33, 37):
        theirs.eval(ids[start : {0: 32, 32: 33, 33: 37, 37: 60}[start]].tolist())
    expected = torch.from_numpy(theirs.scores[:60].copy())
    found = read(LlamaCppSource(llama).sequence(), ids[:60], [32, 1, 4, 23])
    assert torch.equal(found, expected)
    assert not torch.equal(found[1:], expected[:-1])  # a row off by one would be seen


def test_only_the_rows_asked_for_come_back_also_across_pieces(llama: Any, ids: Tensor) -> None:
    every = LlamaCppSource(llama).sequence().advance(ids[:80], 80)
    for keep in (1, 15, 16, 17, 50):  # the last piece of 32 has 16 tokens
        assert torch.equal(LlamaCppSource(llama).sequence().advance(ids[:80], keep), every[-keep:])


@pytest.mark.parametrize("name", ["smollm2", "gemma3"])  # gemma3 has sliding windows of 512 tokens
def test_a_crop_leaves_what_a_fresh_prefill_has(name: Any) -> None:
    llama = opened(file(name, "q4_0"), n_ctx=1024, n_batch=64)
    text = torch.tensor(llama.tokenize(TEXT.encode() * 3)[:900])
    cropped = LlamaCppSource(llama).sequence()
    cropped.advance(text[:640])
    for _ in range(3):
        cropped.advance(text.flip(0)[:60])
        cropped.crop(640)
    cropped.crop(576)
    assert cropped.length == 576
    fresh = LlamaCppSource(llama).sequence()
    fresh.advance(text[:576])
    expected = fresh.advance(text[576:580], 4)
    assert torch.equal(cropped.advance(text[576:580], 4), expected)
    fresh.crop(575)  # one token fewer would be seen
    assert not torch.equal(fresh.advance(text[576:580], 4), expected)


def test_a_window_that_forgets_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = opened(file("gemma3"), n_ctx=1024, n_batch=64)
    context = Context(llama)
    context.advance([0], [torch.arange(700)], [1])
    monkeypatch.setattr(context._api, "llama_memory_seq_pos_min", lambda *_: 100)
    context.crop(0, 650)
    assert context.lengths == [0]


def test_rows_of_a_batch_have_the_logits_that_each_has_alone(llama: Any, ids: Tensor) -> None:
    source, rng = LlamaCppSource(llama), random.Random(1)
    rows = source.sequences(3)
    texts = [ids, ids.flip(0), ids.roll(77)]
    alone = [source.sequence() for _ in rows]
    for _ in range(12):
        chosen = sorted(rng.sample(range(3), rng.randint(1, 3)))
        fed = [texts[i][rows[i].length :][: rng.randint(1, 6)] for i in chosen]
        keep = [rng.randint(1, len(part)) for part in fed]
        found = advance_together([rows[i] for i in chosen], fed, keep)
        for i, part, kept, logits in zip(chosen, fed, keep, found, strict=True):
            expected = alone[i].advance(part, kept)
            assert (logits - expected).abs().max() < 3.0  # quantised activations round otherwise by the row
            assert (logits - expected).abs().mean() < 0.5
            assert (logits.argmax(-1) == expected.argmax(-1)).float().mean() > 0.4
        if rng.random() < 0.5:
            i = rng.choice(chosen)
            length = rng.randint(0, rows[i].length)
            rows[i].crop(length)
            alone[i].crop(length)
        assert [row.length for row in rows] == [model.length for model in alone]


def test_rows_close_and_their_places_serve_again(llama: Any, ids: Tensor) -> None:
    batch = LlamaCppSource(llama).batch(2)
    first, second = batch.add(), batch.add()
    first.advance(ids[:5])
    first.close()
    first.close()
    assert (len(batch), first.length) == (1, 0)
    with pytest.raises(ArgumentError, match="closed"):
        first.advance(ids[:1])
    third = batch.add()
    assert torch.equal(third.advance(ids[:9]), second.advance(ids[:9]))


def test_two_contexts_are_kept_for_the_next_texts(llama: Any, ids: Tensor) -> None:
    source = LlamaCppSource(llama)
    models = [source.sequence() for _ in range(4)]
    for model in models:
        model.advance(ids[:3])
    used = {id(model.context) for model in models}
    del model
    models.clear()
    again = [source.sequence() for _ in range(3)]
    for model in again:
        model.advance(ids[:3])
    assert sum(id(model.context) in used for model in again[:2]) == 2
    assert len(source._idle) == 0
    del model
    again.clear()
    assert len(source._idle) == 2


def test_an_error_inside_leaves_empty_caches(
    llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LlamaCppSource(llama).sequence()
    expected = model.advance(ids[:40])
    real = model.context._api.llama_decode
    calls = []

    def fails(handle: Any, batch: Any) -> int:
        calls.append(batch.n_tokens)
        return real(handle, batch) if len(calls) < 2 else -3

    monkeypatch.setattr(model.context._api, "llama_decode", fails)
    with pytest.raises(ModelError, match="llama_decode gave -3"):
        model.advance(ids[40:110])
    assert model.length == 0
    monkeypatch.undo()
    assert torch.equal(model.advance(ids[:40]), expected)


def test_an_interrupt_inside_leaves_empty_caches(
    llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LlamaCppSource(llama).sequence()
    expected = model.advance(ids[:40])

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.context._api, "llama_get_logits", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.advance(ids[40:50])
    monkeypatch.undo()
    assert model.length == 0
    assert torch.equal(model.advance(ids[:40]), expected)


def test_no_room_is_an_error_that_says_so(llama: Any) -> None:
    model = LlamaCppSource(llama).sequence()
    with pytest.raises(ModelError, match="larger n_ctx"):
        model.advance(torch.ones(513, dtype=torch.int64))


def test_ids_and_shapes_are_checked(llama: Any) -> None:
    model = LlamaCppSource(llama).sequence()
    for ids, keep in ((torch.tensor([49152]), 1), (torch.tensor([-1]), 1)):
        with pytest.raises(ArgumentError, match="expected ids from 0 to 49151"):
            model.advance(ids, keep)
    for ids, keep in ((torch.tensor([1]), 2), (torch.tensor([1]), 0), (torch.zeros(0, dtype=torch.int64), 1)):
        with pytest.raises(ArgumentError, match="n >= keep >= 1"):
            model.advance(ids, keep)
    with pytest.raises(ArgumentError, match="0 or more"):
        model.crop(-1)


def test_the_users_own_context_is_not_touched(llama: Any, ids: Tensor) -> None:
    llama.reset()
    llama.eval(ids[:20].tolist())
    before = llama.save_state()
    model = LlamaCppSource(llama).sequence()
    model.advance(ids[:100])
    model.crop(3)
    after = llama.save_state()
    assert before.llama_state == after.llama_state
    assert llama.n_tokens == 20


def test_contexts_serve_again_and_start_empty(llama: Any, ids: Tensor) -> None:
    source = LlamaCppSource(llama)
    first = source.sequence()
    expected, context = first.advance(ids[:10]), first.context
    del first
    gc.collect()
    second = source.sequence()
    assert second.context is context
    assert second.length == 0
    assert torch.equal(second.advance(ids[:10]), expected)


def test_a_closed_llama_is_an_error() -> None:
    llama = opened()
    model = LlamaCppSource(llama).sequence()
    model.advance(torch.tensor([1, 2]))
    llama.close()
    with pytest.raises(ModelError, match="closed"):
        model.advance(torch.tensor([1]))
    with pytest.raises(ModelError, match="closed"):
        model.crop(1)
    with pytest.raises(ModelError, match="closed"):
        LlamaCppSource(llama)
