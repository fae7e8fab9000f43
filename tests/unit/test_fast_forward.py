"""A lean pass gives the model's own logits, for every architecture that has one."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import PreTrainedModel

import tiny
from anydraft.models.batch import sequences
from anydraft.models.fast import forward as lean
from anydraft.models.fast import twin
from anydraft.models.fast.cpu_linear import NOWHERE, FusedLinear, Quicker
from anydraft.models.fast.forward import LeanModel, lean_of
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.twin import twin_of
from anydraft.models.joint import advance_together
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import Weights

ALL = frozenset(range(1, 17))
MAKERS = [tiny.llama, tiny.mistral, tiny.qwen2, tiny.qwen3, tiny.gemma3]
WEIGHTS: list[Weights] = ["unpacked", "packed"]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]

Maker = Callable[[], Any]


def rope(**values: Any) -> dict[str, Any]:
    """Rotary embeddings, in the words of either version of transformers."""
    if int(transformers.__version__.split(".")[0]) >= 5:
        return {"rope_parameters": values}
    return {"rope_theta": values.pop("rope_theta"), "rope_scaling": values}


def own(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids[None], use_cache=False).logits[0]
    return logits


def close(found: torch.Tensor, expected: torch.Tensor, share: float) -> bool:
    return bool((found - expected).abs().amax() <= share * expected.abs().amax())


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Root mean square, as a share of what is exact: rounding adds up so, on any machine."""
    return float((found.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt())


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_text_in_pieces_gets_the_models_logits(
    make: Maker, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error against float64 is like that of the model's own pass."""
    monkeypatch.setattr(twin, "quicker", lambda *_: NOWHERE)  # other products round in other places
    model = make().to(dtype)
    ours = TransformersModel(model, FastPasses())
    assert isinstance(ours.runner, LeanModel)
    ids = tiny.ids(60)
    exact = own(copy.deepcopy(model).double(), ids)
    own_error = error(own(model, ids), exact)
    pieces = [1, 5, 17, 1, 1, 3, 20, 12]  # across the sliding window of 16, in one piece and in several
    found = torch.cat([ours.advance(part, len(part)) for part in ids.split(pieces)])
    assert error(found, exact) <= 2 * own_error + 1e-6
    ours.crop(30)
    ours.advance(tiny.ids(4, seed=5))
    ours.crop(30)
    assert error(ours.advance(ids[30:], 30), exact[30:]) <= 2 * own_error + 1e-6


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")
def test_with_products_of_one_dnn(make: Maker, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "quicker", lambda *_: Quicker(ALL, ALL))
    model = make()
    ours = TransformersModel(model, FastPasses(weights))
    ids = tiny.ids(40)
    found = torch.cat([ours.advance(part, len(part)) for part in ids.split([18, 7, 1, 14])])
    assert close(found, own(model, ids), 1e-4)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_rows_of_different_lengths(make: Maker, attention: str) -> None:
    model = make()
    model.set_attn_implementation(attention)
    rows = sequences(model, 3, FastPasses())
    texts = [tiny.ids(50, seed=seed) for seed in range(3)]
    at = [0, 0, 0]
    for counts in ((3, 20, 1), (1, 2, 5), (17, 1, 1), (2, 0, 9)):
        busy = [i for i in range(3) if counts[i]]
        parts = [texts[i][at[i] : at[i] + counts[i]] for i in busy]
        for i, logits in zip(
            busy, advance_together([rows[i] for i in busy], parts, [1] * len(busy)), strict=True
        ):
            at[i] += counts[i]
            assert close(logits, own(model, texts[i][: at[i]])[-1:], 1e-4)


@torch.no_grad()
def test_layers_that_are_joined() -> None:
    layers = [nn.Linear(8, size, bias=True) for size in (3, 5)]
    rows = torch.randn(1, 4, 8)
    expected = [layer(rows) for layer in layers]
    for joined in (
        FusedLinear(layers, NOWHERE, "unpacked"),
        FusedLinear(layers, Quicker(ALL, ALL), "packed"),
        FusedLinear(layers, Quicker(ALL, frozenset({1})), "packed"),
    ):
        for found, wanted in zip(joined(rows), expected, strict=True):
            assert torch.allclose(found, wanted, atol=1e-5)
        assert torch.allclose(joined.whole(rows), torch.cat(expected, -1), atol=1e-5)


def test_weights_are_followed() -> None:
    model: Any = tiny.gemma3()
    first = twin_of(model)
    assert isinstance(first, LeanModel)
    assert twin_of(model) is first
    with torch.no_grad():
        model.model.norm.weight.add_(1)
    ids = tiny.ids(6)
    assert twin_of(model) is not first
    assert close(TransformersModel(model, FastPasses()).advance(ids, 6), own(model, ids), 1e-4)


def test_it_dies_with_its_model() -> None:
    model = tiny.llama()
    gone = weakref.ref(twin_of(model))
    del model
    gc.collect()
    assert gone() is None


def test_models_that_have_none() -> None:
    assert lean_of(tiny.olmo2(), NOWHERE, "unpacked") is None
    growing = tiny.llama(**rope(rope_type="dynamic", rope_theta=1e4, factor=2.0))
    assert lean_of(growing, NOWHERE, "unpacked") is None


def test_what_computes_otherwise_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny.llama()
    assert lean_of(model, NOWHERE, "unpacked") is not None
    monkeypatch.setattr(lean.Norm, "__call__", lambda self, x: x)
    assert lean_of(model, NOWHERE, "unpacked") is None


def test_rope_scaling_is_the_models_own() -> None:
    scaled = tiny.llama(
        **rope(
            rope_type="llama3",
            rope_theta=1e4,
            factor=4.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=64,
        )
    )
    ours = TransformersModel(scaled, FastPasses())
    assert isinstance(ours.runner, LeanModel)
    ids = tiny.ids(200)
    assert close(ours.advance(ids, 200), own(scaled, ids), 1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_what_gemma_adds_to_1_is_not_lost_in_half_precision(dtype: torch.dtype) -> None:
    module: Any = tiny.gemma3().to(dtype).model.norm  # type: ignore[operator, union-attr]
    torch.nn.init.normal_(module.weight, 0.0, 0.003)
    states = torch.randn(500, 64).to(dtype)
    assert torch.equal(lean._norm(module)(states), module(states))


@pytest.mark.parametrize("make", MAKERS)
def test_a_long_text_after_another(make: Maker) -> None:
    model, ids = make(), tiny.ids(300)
    ours = TransformersModel(model, FastPasses())
    ours.advance(ids[:90])
    assert close(ours.advance(ids[90:], 210), own(model, ids)[90:], 1e-4)


def test_texts_longer_than_the_table_of_rotations() -> None:
    model = tiny.llama()
    ours, ids = TransformersModel(model, FastPasses()), tiny.ids(1100)
    ours.advance(ids[:1000])
    ours.advance(ids[1000:1040])
    assert close(ours.advance(ids[1040:], 60), own(model, ids)[1040:], 1e-4)
