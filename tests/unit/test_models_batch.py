"""Several sequences in one pass: each is what it would be alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

import anydraft
import tiny
from anydraft.models.batch import TransformersBatch, sequences
from anydraft.models.fast import recorded as recording
from anydraft.models.fast.runner import FastPasses
from anydraft.models.joint import advance_together
from anydraft.models.row import TransformersRow
from anydraft.models.transformers import TransformersModel
from graphs import rehearse

WITH_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
MODELS: list[Callable[..., PreTrainedModel]] = [tiny.llama, tiny.gemma3, tiny.llama4]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def alone(model: PreTrainedModel, ids: torch.Tensor, keep: int) -> torch.Tensor:
    return TransformersModel(model, FastPasses()).advance(ids, keep)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("attention", ["sdpa", "eager", "recorded", pytest.param("cuda", marks=WITH_CUDA)])
def test_rows_of_any_lengths_get_their_own_logits(
    make: Any, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random passes, crops and absences, far beyond the sliding window; compared with fresh single passes."""
    passes: list[int] = []
    records = attention in ("recorded", "cuda") and make is not tiny.llama4  # which has no lean form
    if attention == "recorded":
        rehearse(monkeypatch)
    static = recording.static_batch
    monkeypatch.setattr(recording, "static_batch", lambda *a, **b: passes.append(1) or static(*a, **b))
    device = "cuda" if attention == "cuda" else "cpu"
    model = make().to(device)
    model.config._attn_implementation = "eager" if attention == "eager" else "sdpa"
    rows = sequences(model, 3, FastPasses())
    texts = [tiny.ids(90, seed=seed).to(device) for seed in range(3)]
    chance = torch.Generator().manual_seed(0)
    for step in range(25):
        taking = [i for i in range(3) if step == 0 or torch.rand((), generator=chance) < 0.8]
        counts = [int(torch.randint(1, 9, (), generator=chance)) for _ in taking]
        taking = [i for i, n in zip(taking, counts, strict=True) if rows[i].length + n <= 90]
        counts = counts[: len(taking)]
        counts = [min(n, 90 - rows[i].length) for i, n in zip(taking, counts, strict=True)]
        if not taking:
            break
        keep = [int(torch.randint(1, n + 1, (), generator=chance)) for n in counts]
        starts = [rows[i].length for i in taking]
        fed = [texts[i][s : s + n] for i, s, n in zip(taking, starts, counts, strict=True)]
        logits = advance_together([rows[i] for i in taking], fed, keep)
        for i, start, n, wanted, got in zip(taking, starts, counts, keep, logits, strict=True):
            assert torch.allclose(got, alone(model, texts[i][: start + n], wanted), **CLOSE)
            if step % 3 == 0:
                rows[i].crop(start + (n + 1) // 2)
                assert rows[i].length == start + (n + 1) // 2
    assert len(passes) > 5 if records else not passes  # on CUDA: twice for each shape, then graphs


def test_one_pass_serves_all_rows() -> None:
    model = tiny.llama()
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    rows = sequences(model, 4, FastPasses())
    advance_together(rows, [tiny.ids(n) for n in (3, 1, 9, 5)], [1, 1, 2, 3])
    assert len(passes) == 1


def test_models_of_several_batches_share_the_passes_of_their_own() -> None:
    model = tiny.llama()
    passes: list[int] = []
    model.register_forward_pre_hook(
        lambda _, __, given: passes.append(len(given["input_ids"])), with_kwargs=True
    )
    first, second = sequences(model, 2, FastPasses()), sequences(model, 2, FastPasses())
    single = TransformersModel(model, FastPasses())
    models = [first[0], single, second[0], first[1], second[1]]
    texts = [tiny.ids(4, seed=seed) for seed in range(5)]
    logits = advance_together(models, texts, [1] * 5)
    assert sorted(passes) == [1, 2, 2]
    for text, found in zip(texts, logits, strict=True):
        assert torch.allclose(found, alone(model, text, 1), **CLOSE)


def before_passes(row: TransformersRow, told: Callable[[torch.Tensor], Any]) -> Any:
    """Tell of the ids of every pass before it; what ran passes until now is returned."""
    model: Any = row.batch.model
    run = model.run

    def watched(ids: torch.Tensor, *given: Any, **named: Any) -> Any:
        told(ids)
        return run(ids, *given, **named)

    model.run = watched
    return run


@pytest.mark.parametrize("make", MODELS)
def test_a_closed_row_leaves_the_batch(make: Any) -> None:
    model = make()
    rows = sequences(model, 3, FastPasses())
    texts = [tiny.ids(40, seed=seed) for seed in range(3)]
    advance_together(rows, [text[:30] for text in texts], [1, 1, 1])
    assert isinstance(rows[1], TransformersRow)
    rows[1].close()
    widths = []
    before_passes(rows[1], lambda ids: widths.append(len(ids)))
    logits = advance_together([rows[0], rows[2]], [texts[0][30:34], texts[2][30:33]], [1, 1])
    assert widths == [2]
    assert torch.allclose(logits[0], alone(model, texts[0][:34], 1), **CLOSE)
    assert torch.allclose(logits[1], alone(model, texts[2][:33], 1), **CLOSE)


def test_a_row_is_a_model_of_its_own() -> None:
    model = tiny.gemma3()
    first, second = sequences(model, 2, FastPasses())
    text = tiny.ids(20)
    first.advance(text[:12])
    second.advance(text[:3])
    assert (first.length, second.length) == (12, 3)
    assert torch.allclose(first.advance(text[12:], 4), alone(model, text, 4), **CLOSE)
    assert first.vocab_size == second.vocab_size == 97
    assert first.window == 512


def test_a_model_that_raises_leaves_an_empty_batch() -> None:
    model = tiny.llama()
    rows = sequences(model, 2, FastPasses())
    advance_together(rows, [tiny.ids(5), tiny.ids(3)], [1, 1])
    assert isinstance(rows[0], TransformersRow)
    whole = before_passes(rows[0], lambda _: (_ for _ in ()).throw(RuntimeError("no memory")))
    with pytest.raises(RuntimeError, match="no memory"):
        advance_together(rows, [tiny.ids(1), tiny.ids(1)], [1, 1])
    rows[0].batch.model.run = whole
    assert [row.length for row in rows] == [0, 0]
    logits = advance_together(rows, [tiny.ids(6), tiny.ids(2)], [1, 1])
    assert torch.allclose(logits[0], alone(model, tiny.ids(6), 1), **CLOSE)


def test_attention_without_a_mask_per_row_runs_row_by_row() -> None:
    model = tiny.llama()
    model.config._attn_implementation = "flash_attention_2"
    batch = TransformersBatch(TransformersModel(model, FastPasses()))
    assert not batch.possible
    rows = sequences(model, 2, FastPasses())
    assert all(isinstance(row, TransformersModel) for row in rows)


def test_bad_ids_are_named() -> None:
    rows = sequences(tiny.llama(), 2, FastPasses())
    with pytest.raises(anydraft.ArgumentError, match="token id 97"):
        advance_together(rows, [torch.tensor([97]), torch.tensor([1])], [1, 1])
    with pytest.raises(anydraft.ArgumentError, match="keep=2"):
        advance_together(rows, [torch.tensor([1]), torch.tensor([1])], [1, 2])


def test_sequences_come_and_go() -> None:
    """At random, with passes between; every open row keeps its own text."""
    model = tiny.gemma3()
    batch = TransformersBatch(TransformersModel(model, FastPasses()))
    chance = torch.Generator().manual_seed(1)
    texts: dict[TransformersRow, torch.Tensor] = {}
    for step in range(60):
        if len(texts) < 5 and torch.rand((), generator=chance) < 0.4:
            texts[batch.add()] = tiny.ids(200, seed=step)
        if len(texts) > 1 and torch.rand((), generator=chance) < 0.25:
            gone = list(texts)[int(torch.randint(len(texts), (), generator=chance))]
            gone.close()
            del texts[gone]
        rows = [row for row in texts if row.length < 180]
        if not rows:
            continue
        counts = [int(torch.randint(1, 20, (), generator=chance)) for _ in rows]
        fed = [texts[row][row.length : row.length + n] for row, n in zip(rows, counts, strict=True)]
        for row, logits in zip(rows, advance_together(rows, fed, [1] * len(rows)), strict=True):
            assert torch.allclose(logits, alone(model, texts[row][: row.length], 1), **CLOSE)


def test_a_closed_row_is_refused() -> None:
    first, second = sequences(tiny.llama(), 2, FastPasses())
    assert isinstance(first, TransformersRow)
    first.close()
    first.close()
    assert first.length == 0
    with pytest.raises(anydraft.ArgumentError, match="closed"):
        first.advance(tiny.ids(2))
    second.advance(tiny.ids(2))


def test_a_long_prompt_does_not_make_the_others_wait() -> None:
    model = tiny.llama()
    rows = sequences(model, 4, FastPasses())
    assert isinstance(rows[0], TransformersRow)
    shapes = []
    before_passes(rows[0], lambda ids: shapes.append(list(ids.shape)))
    advance_together(rows, [tiny.ids(n) for n in (3, 100, 2, 4)], [1] * 4)
    assert shapes == [[1, 100], [4, 4]]
