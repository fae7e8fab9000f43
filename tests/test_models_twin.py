"""A twin shares a model's weights, computes the same, and leaves the model alone."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

import anydraft
import small
import tiny
from anydraft.models import few_rows, memory, twin
from anydraft.models.few_rows import FewRows, FewRowsLinear, Quicker, Weights, packed, product
from anydraft.models.quicker import quicker
from anydraft.models.runner import Passes
from anydraft.models.transformers import TransformersModel
from anydraft.models.twin import twin_of

ALL = frozenset(range(1, 17))
KINDS: list[Weights] = ["shared", "packed"]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN is quicker for all numbers of rows."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")
    monkeypatch.setattr(twin, "quicker", lambda dtype, threads: Quicker(ALL, ALL))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@torch.no_grad()
def test_the_products_are_the_same(rows: int, bias: bool, dtype: torch.dtype, close: float) -> None:
    layer = nn.Linear(33, 65, bias=bias).to(dtype)
    given = torch.randn(1, rows, 33).to(dtype)
    expected = layer(given)
    for weight in (layer.weight, packed(layer.weight)):
        assert torch.allclose(product(given, weight, layer.bias), expected, atol=close)
    for kind in KINDS:
        few = FewRows(layer.weight, layer.bias, Quicker(ALL, frozenset({1, 7})), kind)
        assert torch.allclose(few(given), expected, atol=close)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_where_it_is_quicker_is_measured_once(dtype: torch.dtype) -> None:
    found = quicker(dtype, torch.get_num_threads())
    assert found.shared | found.packed <= set(range(1, few_rows.MOST_ROWS + 1))
    assert quicker(dtype, torch.get_num_threads()) is found


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.usefixtures("always")
def test_a_twin_shares_every_weight_and_computes_the_same(weights: Weights) -> None:
    model = tiny.olmo2()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kinds = [type(module) for module in model.modules()]
    ours = twin_of(model, weights)
    assert ours is not model
    assert [p.data_ptr() for p in ours.parameters()] == [p.data_ptr() for p in model.parameters()]
    assert [b.data_ptr() for b in ours.buffers()] == [b.data_ptr() for b in model.buffers()]
    assert any(isinstance(module, FewRowsLinear) for module in ours.modules())
    for n in (1, 5, 16, 40):
        ids = tiny.ids(n)[None]
        with torch.no_grad():
            assert torch.allclose(ours(ids).logits, model(ids).logits, atol=1e-4)
    assert [type(module) for module in model.modules()] == kinds
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert twin_of(model, weights) is ours


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.usefixtures("always")
def test_a_twin_follows_the_models_weights(weights: Weights) -> None:
    model = tiny.olmo2()
    ids = tiny.ids(5)[None]

    def agrees() -> bool:
        with torch.no_grad():
            return torch.allclose(twin_of(model, weights)(ids).logits, model(ids).logits, atol=1e-4)

    assert agrees()
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(2)
    assert agrees()
    model.model.norm.weight = nn.Parameter(torch.full_like(model.model.norm.weight, 3.0))
    assert agrees()


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.usefixtures("always")
def test_a_user_can_say_how_weights_are_kept(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Weights] = []
    real = twin._made
    monkeypatch.setattr(twin, "_made", lambda *given: made.append(given[2]) or real(*given))
    pair = small.speculator(weights=weights)
    assert pair.generate("The quick", max_new_tokens=4).token_ids
    tokenizers = small.byte_fallback(), small.byte_level()
    target, draft = (small.model(tokenizer, seed=i) for i, tokenizer in enumerate(tokenizers))
    drafted = anydraft.custom_generate(draft, *tokenizers, weights=weights)
    for rows in (1, 2):
        target.generate(torch.full((rows, 3), 70), max_new_tokens=3, custom_generate=drafted)
    assert set(made) == {weights}


@pytest.mark.usefixtures("always")
def test_copies_are_made_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Weights] = []
    real = twin._made
    monkeypatch.setattr(
        twin, "_made", lambda model, ways, weights: made.append(weights) or real(model, ways, weights)
    )
    for room in (10**12, 10, None):
        monkeypatch.setattr(twin, "available_bytes", lambda room=room: room)
        twin_of(tiny.llama())
    assert made == ["packed", "shared", "shared"]


@pytest.mark.usefixtures("always")
def test_a_packed_twin_is_kept_when_its_copies_have_taken_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama()
    monkeypatch.setattr(twin, "available_bytes", lambda: 10**12)
    first = twin_of(model)
    monkeypatch.setattr(twin, "available_bytes", lambda: 10)
    assert twin_of(model) is first


def test_memory_that_is_left() -> None:
    left = memory.available_bytes()
    assert left is None or left > 0


@pytest.mark.usefixtures("always")
def test_a_twin_dies_with_its_model() -> None:
    model = tiny.llama()
    gone = weakref.ref(twin_of(model))
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.usefixtures("always")
def test_only_plain_models_have_one() -> None:
    double = tiny.olmo2().to(torch.float64)
    assert twin_of(double) is double
    hooked = tiny.llama()
    hooked.model.layers[0].register_forward_hook(lambda *_: None)
    assert twin_of(hooked) is hooked
    replaced = tiny.llama()
    replaced.lm_head.forward = lambda x: x
    assert twin_of(replaced) is replaced


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.usefixtures("always")
def test_a_block_gets_the_logits_of_its_tokens_one_by_one(weights: Weights) -> None:
    model = TransformersModel(tiny.olmo2(), Passes(weights))
    assert any(isinstance(module, FewRowsLinear) for module in model.runner.modules())
    ids = tiny.ids(12)
    model.advance(ids[:6])
    block = model.advance(ids[6:], 6)
    model.crop(6)
    single = torch.cat([model.advance(ids[i : i + 1]) for i in range(6, 12)])
    assert torch.allclose(block, single, atol=1e-4)
