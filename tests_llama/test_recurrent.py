"""Models with a recurrent state: a crop leaves what a fresh prefill has, or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
from anydraft.models.llama_cpp.source import LlamaCppSource
from files import alone, opened
from recurrent_gguf import hybrid, mamba


@pytest.fixture(scope="module", params=[mamba, hybrid], ids=["mamba", "hybrid"])
def llama(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    make: Callable[[Path], Path] = request.param
    return opened(make(tmp_path_factory.mktemp("models") / "model.gguf"), n_ctx=256, n_batch=64)


def test_any_feeds_and_crops_leave_what_a_fresh_prefill_has(llama: Any) -> None:
    source, rng = LlamaCppSource(llama), random.Random(5)
    text = torch.tensor([rng.randrange(3, 200) for _ in range(250)])
    other = text.flip(0)
    model, kept = source.sequence(), 0
    for turn in range(40):
        length = model.length
        n = rng.randint(1, 12 if turn % 5 else 40)
        if length + n > 240:
            model.crop(rng.randint(0, 60))
            continue
        found = model.advance(text[length : length + n], n)
        fresh = source.sequence()
        expected = fresh.advance(text[: length + n], n)
        assert torch.allclose(found, expected, atol=0.05), (turn, length, n)
        if rng.random() < 0.7:  # as a round: one token that stays, and candidates that are rejected
            rejected = rng.randint(1, 8)
            model.advance(torch.cat((text[length + n : length + n + 1], other[:rejected])))
            model.crop(length + n + 1)
            assert model.length in (0, length + n + 1)
            kept += model.length > 0
        else:  # further back than the last pass, also twice in a row
            model.crop(length + n - rng.randint(0, n))
            model.crop(max(model.length - rng.randint(0, 3), 0))
    assert (kept > 5) is llama._is_hybrid


def test_rows_of_a_batch_go_back_each_by_itself(llama: Any) -> None:
    source = LlamaCppSource(llama)
    texts = [torch.arange(3 + i, 53 + i) for i in range(2)]
    rows = source.sequences(2)
    rows[0].batch.advance([0, 1], [texts[0][:20], texts[1][:9]], [1, 1])  # type: ignore[attr-defined]
    rows[0].batch.advance([0, 1], [texts[1][:5], texts[0][:3]], [1, 1])  # type: ignore[attr-defined]
    for row, text, length in zip(
        rows, (torch.cat((texts[0][:20], texts[1][:5])), texts[1][:9]), (22, 9), strict=True
    ):
        row.crop(length)
        fresh = source.sequence()
        expected = fresh.advance(torch.cat((text[:length], texts[0][40:43])), 3)
        found = row.advance(torch.cat((text[row.length : length], texts[0][40:43])), 3)
        assert torch.allclose(found, expected, atol=0.05)


def test_an_old_state_would_be_seen(llama: Any) -> None:
    source = LlamaCppSource(llama)
    text = torch.arange(3, 60)
    one, two = source.sequence(), source.sequence()
    one.advance(text[:30])
    two.advance(text[:30])
    two.advance(text[:3].flip(0))
    assert not torch.allclose(one.advance(text[30:34], 4), two.advance(text[30:34], 4), atol=0.05)


def test_greedy_is_what_llama_cpp_says(llama: Any) -> None:
    draft, tokenizer = anydraft.drafts.load("tiny")
    decoder = anydraft.Speculator(llama, draft, None, tokenizer, num_draft_tokens=3, method="slem")
    for prompt in ("the thing", "def f(x):\n    return", "1 2 3"):
        out = decoder.generate(prompt, max_new_tokens=20)
        assert out.token_ids == alone(llama, out.prompt_ids, 20)


def test_a_state_goes_over_to_a_larger_context(llama: Any) -> None:
    source = LlamaCppSource(llama)
    text, batch = torch.arange(3, 60), source.batch()
    row = batch.add()
    row.advance(text[:20])
    other = batch.add()
    other.advance(text[30:40])
    assert row.length == 20
    fresh = source.sequence()
    fresh.advance(text[:20])
    assert torch.allclose(row.advance(text[20:25], 5), fresh.advance(text[20:25], 5), atol=0.05)
    row.crop(23)
    assert row.length in (0, 23)
    again = source.sequence()
    again.advance(text[:23])
    found = row.advance(torch.cat((text[row.length : 23], text[50:53])), 3)
    assert torch.allclose(found, again.advance(text[50:53], 3), atol=0.05)
