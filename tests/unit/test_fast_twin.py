"""A twin shares a model's weights, computes the same, and leaves the model alone."""

from __future__ import annotations

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import anydraft
import small
import tiny
from anydraft.loading import memory
from anydraft.models.fast import cpu_linear as few_rows
from anydraft.models.fast import twin
from anydraft.models.fast.cpu_linear import FewRows, FewRowsLinear, Quicker, packed, product
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.select import can, quicker
from anydraft.models.fast.twin import twin_of, weights_of
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import Weights

ALL = frozenset(range(1, 17))
KINDS: list[Weights] = ["unpacked", "packed"]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN is quicker for all numbers of rows."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")
    monkeypatch.setattr(twin, "quicker", lambda dtype, threads: Quicker(ALL, ALL))


def needs(name: str, dtype: torch.dtype) -> None:
    """Skip a test of a product that this machine does not have."""
    if not can(name, dtype):
        pytest.skip(f"this machine has no product of {dtype} with {name} weights")


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_products_are_the_same(kind: Weights, rows: int, bias: bool, dtype: torch.dtype) -> None:
    """Their error against float64 is like that of PyTorch's own."""
    needs(kind, dtype)
    layer = nn.Linear(33, 65, bias=bias).to(dtype)
    given = torch.randn(1, rows, 33).to(dtype)
    exact = copy.deepcopy(layer).double()(given.double())
    allowed = 4 * (layer(given) - exact).abs().amax() + torch.finfo(dtype).eps * exact.abs().amax()
    weight = layer.weight if kind == "unpacked" else packed(layer.weight)
    few = FewRows(layer.weight, layer.bias, Quicker(ALL, frozenset({1, 7})), kind)
    for found in (product(given, weight, layer.bias), few(given)):
        assert (found - exact).abs().amax() <= allowed


REFUSED = "mkldnn_reorder_linear_weight: bf16 path needs the cpu support avx512bw, avx512vl and avx512dq"


@pytest.mark.parametrize("missing", ["_reorder_linear_weight", "_linear_pointwise"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_where_the_processor_cannot_pack_the_weights_are_shared(
    missing: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a CPU without AVX-512; and where a matrix can be packed, but not multiplied."""
    asked: list[torch.dtype] = []

    def refuse(*given: Any) -> None:
        asked.append(given[0].dtype)
        raise RuntimeError(REFUSED)

    monkeypatch.setattr(torch.ops.mkldnn, missing, refuse)
    for answers in (can, quicker):
        answers.cache_clear()
    try:
        assert not can("packed", dtype)
        assert not quicker(dtype, 1).packed
        tried = len(asked)
        for make in (tiny.llama, tiny.olmo2):
            for weights in ("packed", "auto", "unpacked"):
                model = make().to(dtype)
                assert weights_of(model, weights) != "packed"
                ours = TransformersModel(model, FastPasses(weights))
                ids = tiny.ids(9)
                with torch.no_grad():
                    exact = copy.deepcopy(model).double()(ids[None]).logits[0]
                    allowed = 4 * (model(ids[None]).logits[0] - exact).abs().amax() + 1e-4
                found = torch.cat([ours.advance(part, len(part)) for part in ids.split([5, 1, 3])])
                assert (found - exact).abs().amax() <= allowed
        assert len(asked) == tried  # once it is known, it is not tried again
    finally:
        for answers in (can, quicker):
            answers.cache_clear()


def test_products_of_every_dtype_are_asked_for_without_an_error() -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        for name in ("unpacked", "packed", "int8"):
            assert can(name, dtype) in (True, False)
        if not can("packed", dtype):
            assert not quicker(dtype, 1).packed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_where_it_is_quicker_is_measured_once(dtype: torch.dtype) -> None:
    found = quicker(dtype, torch.get_num_threads())
    assert found.unpacked | found.packed <= set(range(1, few_rows.MOST_ROWS + 1))
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
        monkeypatch.setattr(twin, "spare_bytes", lambda room=room: room)
        twin_of(tiny.llama())
    assert made == ["packed", "unpacked", "unpacked"]


@pytest.mark.usefixtures("always")
def test_a_packed_twin_is_kept_when_its_copies_have_taken_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama()
    monkeypatch.setattr(twin, "spare_bytes", lambda: 10**12)
    first = twin_of(model)
    monkeypatch.setattr(twin, "spare_bytes", lambda: 10)
    assert twin_of(model) is first


def test_memory_that_is_left() -> None:
    left = memory.available_bytes()
    assert left is None or left > 0


@pytest.mark.parametrize(
    ("available", "total", "spare"),
    [(20 << 30, 24 << 30, 17 << 30), (3 << 30, 4 << 30, 2 << 30), (1 << 29, 24 << 30, -(5 << 29))],
)
def test_what_a_copy_leaves_decides(
    available: int, total: int, spare: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "meminfo"
    told.write_text(f"MemTotal: {total >> 10} kB\nMemFree: 1 kB\nMemAvailable: {available >> 10} kB\n")
    monkeypatch.setattr(memory, "_SYSTEM", told)
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.available_bytes() == available
    assert memory.spare_bytes() == spare
    (tmp_path / "memory.max").write_text(f"{2 << 30}\n")
    (tmp_path / "memory.current").write_text(f"{1 << 30}\n")
    assert memory.spare_bytes() == min(spare, 0)


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
    model = TransformersModel(tiny.olmo2(), FastPasses(weights))
    assert any(isinstance(module, FewRowsLinear) for module in model.runner.modules())
    ids = tiny.ids(12)
    model.advance(ids[:6])
    block = model.advance(ids[6:], 6)
    model.crop(6)
    single = torch.cat([model.advance(ids[i : i + 1]) for i in range(6, 12)])
    assert torch.allclose(block, single, atol=1e-4)
