"""What the benches rest on: a deepened model says what the original says, and a chart can be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from anydraft.models.transformers import TransformersModel


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
