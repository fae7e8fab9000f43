"""What the benches rest on: a deepened model says what the original says, and a chart can be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
import tiny
from anydraft.models.transformers import TransformersModel


def test_a_widened_model_says_the_same() -> None:
    from anydraft.bench.widened import widen

    model, ids = tiny.llama(), tiny.ids(40)[None]
    wide = widen(model, 160, 300)
    assert wide.config.num_attention_heads == 10
    assert wide.model.layers[1].mlp.up_proj.weight.shape == (300, 160)
    with torch.no_grad():
        own, found = (each(input_ids=ids).logits for each in (model, wide))
        assert (found - own).abs().max() < 1e-4 * own.abs().max()
        wide.model.norm.weight.mul_(1.01)  # what a wrong share of the norm would do is seen
        assert (wide(input_ids=ids).logits - own).abs().max() > 5e-3 * own.abs().max()
    for wrong in ((32, 300), (160, 64)):
        with pytest.raises(anydraft.ModelError, match="no wider"):
            widen(model, *wrong)
    with pytest.raises(anydraft.ModelError, match="gemma3"):
        widen(tiny.gemma3(), 160, 300)


@pytest.mark.parametrize("make", [tiny.llama, tiny.gemma3])
def test_a_deepened_model_is_bit_identical(make: Any) -> None:
    from anydraft.bench.deepened import check_identical, deepen

    model = make()
    before = [parameter.clone() for parameter in model.parameters()]
    deep = deepen(model, 4)
    check_identical(model, deep)
    assert len(deep.base_model.layers) == 4 * len(model.base_model.layers)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    alone, copy = TransformersModel(model), TransformersModel(deep)
    ids = tiny.ids(20)
    torch.testing.assert_close(copy.advance(ids, 3), alone.advance(ids, 3), rtol=0, atol=0)
    alone.crop(7)
    copy.crop(7)
    torch.testing.assert_close(copy.advance(ids[:2], 2), alone.advance(ids[:2], 2), rtol=0, atol=0)


def test_a_chart_is_drawn(tmp_path: Path) -> None:
    from anydraft.bench.chart import write_chart

    row = {"ratio": 1.5, "interval": [1.2, 1.9]}
    record = {
        "machine": "m",
        "torch": "2",
        "notes": {"deep": "deepened"},
        "cells": {
            "deep, code, T=0": {"contenders": {"target alone": row, "auto": row, "x (NOT LOSSLESS)": row}}
        },
    }
    write_chart(record, tmp_path / "chart.html")
    page = (tmp_path / "chart.html").read_text()
    assert page.count("<rect") == 3
    assert "deepened" in page
