"""Quantised models stay so: their own modules run, as target and as draft, and say what they say alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
import quantised
import trained
from anydraft.models.fast.twin import twin_of
from anydraft.models.weights import pass_bytes

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=quantised.CONFIGS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The trained target, quantised."""
    missing = quantised.missing(request.param)
    if missing:
        pytest.skip(f"{missing} is not installed")
    trained.pair()[0].save_pretrained(tmp_path)
    return quantised.quantised(request.param, tmp_path)


def said(target: Any, **options: Any) -> list[list[int]]:
    ids = torch.arange(2, 30)[None]
    found: torch.Tensor = target.generate(
        ids, max_new_tokens=40, do_sample=False, repetition_penalty=1.3, **options
    )
    return found.tolist()


def test_as_target(model: Any) -> None:
    _, draft, tokenizer, draft_tokenizer = trained.pair()
    made = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=4)
    before = [type(module) for module in model.modules()]
    assert said(model, custom_generate=made) == said(model)
    assert made.stats[0].accepted
    assert [type(module) for module in model.modules()] == before


def test_as_draft(model: Any) -> None:
    target, _, tokenizer, _ = trained.pair()
    made = anydraft.custom_generate(model, tokenizer, tokenizer, num_draft_tokens=4)
    assert said(target, custom_generate=made) == said(target)
    assert made.stats[0].accepted


def test_no_copy_is_made(model: Any) -> None:
    assert twin_of(model) is model
    assert twin_of(model, "packed") is model
    assert twin_of(model, drafts=True) is model


def test_its_bytes_are_those_it_has(model: Any) -> None:
    assert pass_bytes(model) < 0.6 * pass_bytes(trained.pair()[0])
