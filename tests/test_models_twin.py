"""A twin shares a model's weights, computes the same, and leaves the model alone."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import tiny
from anydraft.models import few_rows, twin
from anydraft.models.few_rows import FewRowsLinear, product, quicker_row_counts
from anydraft.models.transformers import TransformersModel
from anydraft.models.twin import twin_of


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN is quicker for all numbers of rows."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")
    monkeypatch.setattr(twin, "quicker_row_counts", lambda threads: frozenset(range(1, 17)))


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_the_same(rows: int, bias: bool) -> None:
    layer = nn.Linear(33, 65, bias=bias)
    given = torch.randn(1, rows, 33)
    with torch.no_grad():
        assert torch.allclose(product(given, layer.weight, layer.bias), layer(given), atol=1e-5)


def test_where_it_is_quicker_is_measured() -> None:
    found = quicker_row_counts(torch.get_num_threads())
    assert found <= set(range(1, few_rows.MOST_ROWS + 1))
    assert quicker_row_counts(torch.get_num_threads()) is found  # once


@pytest.mark.parametrize("make", [tiny.llama, tiny.gemma3])
@pytest.mark.usefixtures("always")
def test_a_twin_shares_every_weight_and_computes_the_same(make: Any) -> None:
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    ours = twin_of(model)
    assert ours is not model
    assert [p.data_ptr() for p in ours.parameters()] == [p.data_ptr() for p in model.parameters()]
    assert [b.data_ptr() for b in ours.buffers()] == [b.data_ptr() for b in model.buffers()]
    assert any(isinstance(module, FewRowsLinear) for module in ours.modules())
    ids = tiny.ids(9)[None]
    with torch.no_grad():
        assert torch.allclose(ours(ids).logits, model(ids).logits, atol=1e-4)
    assert [type(module) for module in model.modules()] == kinds
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert twin_of(model) is ours


@pytest.mark.usefixtures("always")
def test_a_twin_follows_the_models_weights() -> None:
    model = tiny.llama()
    first = twin_of(model)
    with torch.no_grad():
        model.model.norm.weight.mul_(2)  # in place: shared
    ids = tiny.ids(5)[None]
    with torch.no_grad():
        assert torch.allclose(twin_of(model)(ids).logits, model(ids).logits, atol=1e-4)
    assert twin_of(model) is first
    model.model.norm.weight = nn.Parameter(torch.ones_like(model.model.norm.weight))
    with torch.no_grad():
        assert torch.allclose(twin_of(model)(ids).logits, model(ids).logits, atol=1e-4)
    assert twin_of(model) is not first


@pytest.mark.usefixtures("always")
def test_a_twin_dies_with_its_model() -> None:
    model = tiny.llama()
    gone = weakref.ref(twin_of(model))
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("always")
def test_only_plain_models_have_one() -> None:
    half = tiny.llama().to(torch.bfloat16)
    assert twin_of(half) is half
    hooked = tiny.llama()
    hooked.model.layers[0].register_forward_hook(lambda *_: None)
    assert twin_of(hooked) is hooked
    assert twin_of(nn.Identity()) is not None


@pytest.mark.usefixtures("always")
def test_a_block_gets_the_logits_of_its_tokens_one_by_one() -> None:
    model = TransformersModel(tiny.llama())
    assert any(isinstance(module, FewRowsLinear) for module in model.runner.modules())
    ids = tiny.ids(12)
    model.advance(ids[:6])
    block = model.advance(ids[6:], 6)
    model.crop(6)
    single = torch.cat([model.advance(ids[i : i + 1]) for i in range(6, 12)])
    assert torch.allclose(block, single, atol=1e-4)
