"""Weights in bytes: near the model's own for a draft, and never for a target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import anydraft
import real_pair
import small
import tiny
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.loop import decode
from anydraft.loading.rounding import STEPS
from anydraft.models.fast import twin
from anydraft.models.fast.cpu_linear import FewRows, FusedLinear, Quicker
from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.int8 import Int8
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.select import can
from anydraft.models.fast.twin import twin_of, weights_of
from anydraft.models.logits import processed_law
from anydraft.models.transformers import TransformersModel
from anydraft.proposers.registry import Method
from enumeration import EnumeratingRandomness, branches

ALL = frozenset(range(1, 17))
pytestmark = pytest.mark.skipif(
    not can("int8", torch.float32), reason="this machine has no product of weights in bytes"
)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product with bytes is quicker for all numbers of rows, and every draft is worth it."""
    monkeypatch.setattr(twin, "quicker", lambda dtype, threads: Quicker(frozenset(), frozenset(), ALL))
    monkeypatch.setattr(twin, "_LEAST", 0)


@given(st.integers(1, 40), st.integers(1, 6), st.floats(-12, 12), st.integers(0, 9))
@settings(deadline=None)
def test_every_weight_is_within_a_step(out: int, blocks: int, magnitude: float, seed: int) -> None:
    weight = torch.randn(out, 32 * blocks, generator=torch.Generator().manual_seed(seed)) * 2**magnitude
    found = Int8(weight)
    step = found.scale.float().unsqueeze(-1)
    assert torch.allclose(step.squeeze(-1), weight.abs().amax(-1) / STEPS, rtol=2**-8)
    assert bool(((found.weight * step - weight).abs() <= 0.76 * step).all())
    assert found.nbytes == out * 32 * blocks + 2 * out


@pytest.mark.parametrize("rows", [1, 3, 16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@torch.no_grad()
def test_the_product_is_that_of_the_whole_numbers(rows: int, bias: bool, dtype: torch.dtype) -> None:
    layer = nn.Linear(96, 50, bias=bias).to(dtype)
    copy = Int8(layer.weight)
    shown = torch.randn(2, rows, 96).to(dtype)
    found = copy(shown, layer.bias)
    exact = shown.to(torch.bfloat16).double() @ (copy.weight.double() * copy.scale.double()[:, None]).T
    exact = exact if layer.bias is None else exact + layer.bias.double()
    assert found.dtype == dtype
    assert found.shape == (2, rows, 50)
    assert torch.allclose(found.double(), exact, atol=0.02, rtol=0.01)
    assert torch.allclose(found.double(), layer(shown).double(), atol=0.06)


def test_it_takes_rows_that_do_not_lie_together() -> None:
    copy = Int8(torch.randn(40, 64))
    shown = torch.randn(4, 128).bfloat16()
    assert torch.equal(copy(shown[:, ::2]), copy(shown[:, ::2].clone()))


@pytest.mark.parametrize("size", [1, 24, 33, 100])
def test_rows_that_the_product_would_read_past_are_refused(size: int) -> None:
    weight = torch.randn(8, size)
    assert not Int8.takes(weight)
    with pytest.raises(ValueError, match=f"got rows of {size}; expected a multiple of 32"):
        Int8(weight)
    few = FewRows(weight, None, Quicker(frozenset(), frozenset(), ALL), "int8")
    assert torch.equal(few(torch.ones(1, size)), nn.functional.linear(torch.ones(1, size), weight))
    assert few.nbytes == 0


@torch.no_grad()
def test_layers_joined_give_what_each_would() -> None:
    layers = [nn.Linear(64, out) for out in (32, 8, 8)]
    quicker = Quicker(frozenset(), frozenset(), frozenset({1, 2}))
    joined = FusedLinear(layers, quicker, "int8")
    for rows in (1, 2, 3):
        shown = torch.randn(1, rows, 64)
        own = [layer(shown) for layer in layers]
        for found, expected in zip(joined(shown), own, strict=True):
            assert torch.allclose(found, expected, atol=0.06)
            assert torch.equal(found, expected) == (rows == 3)


@pytest.mark.parametrize("made", [tiny.llama, tiny.olmo2])
@pytest.mark.usefixtures("always")
def test_a_draft_may_have_them_and_a_target_has_its_own(made: Callable[[], Any]) -> None:
    model = made()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = tiny.ids(12)
    exact = model(ids[None]).logits[0]
    target, draft = TransformersModel(model, FastPasses()), TransformersModel(model, FastPasses(drafts=True))
    assert weights_of(model) != "int8"
    assert weights_of(model, drafts=True) == "int8"
    assert torch.allclose(target.advance(ids, 12), exact, atol=1e-4)
    far = (draft.advance(ids, 12) - exact).abs().amax() / exact.abs().amax()
    assert 1e-4 < far < twin.IN_BYTES
    assert twin_of(model) is target.runner
    assert twin_of(model, drafts=True) is draft.runner
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("made", [tiny.llama, tiny.olmo2])
@pytest.mark.usefixtures("always")
def test_a_model_that_does_not_bear_it_drafts_with_its_own(made: Callable[[], Any]) -> None:
    model = made()
    with torch.no_grad():
        for layer in model.model.layers:  # one weight of a row so large that the others round to nothing
            layer.mlp.down_proj.weight[:, 0] = 200.0
            layer.mlp.gate_proj.weight[0] = 0.0
    assert weights_of(model, drafts=True) != "int8"
    ids = tiny.ids(9)
    assert torch.allclose(
        TransformersModel(model, FastPasses(drafts=True)).advance(ids, 9),
        model(ids[None]).logits[0],
        atol=1e-3,
    )


@pytest.mark.usefixtures("always")
def test_where_memory_is_short_there_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama()
    monkeypatch.setattr(twin, "spare_bytes", lambda: 1000)
    assert weights_of(model, drafts=True) == "unpacked"


def test_by_itself_a_small_draft_has_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "quicker", lambda dtype, threads: Quicker(ALL, ALL, ALL))
    assert weights_of(tiny.llama(), drafts=True) == "packed"


def own_model() -> Any:
    return small.model(small.byte_level(), seed=3)


def itself(**options: Any) -> anydraft.Speculator:
    """A small target that drafts for itself."""
    model, tokenizer = own_model(), small.byte_level()
    return anydraft.Speculator(model, model, tokenizer, tokenizer, **options)


@pytest.mark.usefixtures("always")
def test_a_target_and_its_copy_are_two_models() -> None:
    pair = itself(method="tli", num_draft_tokens=3, draft_weights="int8")
    target, draft = pair.engine.sequences()
    assert isinstance(draft.runner, LeanModel)  # type: ignore[attr-defined]
    assert draft.runner is not target.runner  # type: ignore[attr-defined]
    out = pair.generate("def fib(n):", max_new_tokens=24)
    alone = itself(method="tli", num_draft_tokens=3, draft_weights="unpacked")
    assert out.token_ids == alone.generate("def fib(n):", max_new_tokens=24).token_ids


class Otherwise(EnumeratingRandomness):
    """Control: the draft's tokens are drawn from a law that is a little sharper than the one they claim."""

    verifies = False

    def coins(self, probabilities: Tensor) -> Tensor:
        self.verifies = True
        return super().coins(probabilities)

    def draw(self, law: Tensor) -> Tensor:
        verifies, self.verifies = self.verifies, False
        return super().draw(law if verifies else law**1.02 / (law**1.02).sum(-1, keepdim=True))


def off(method: Method, chance: Callable[[list[int]], EnumeratingRandomness] | None = None) -> float:
    """Total variation between all that comes out of three tokens, and the target's own law."""
    pair = itself(method=method, num_draft_tokens=2, draft_weights="int8")
    prompt = pair.engine.prompt("The dog")
    law = processed_law(temperature=2.0, top_k=2)
    emitted: dict[tuple[int, ...], float] = defaultdict(float)
    for oracle, ids in branches(partial(spoken, pair, prompt, law), make=chance or EnumeratingRandomness):
        emitted[ids] += oracle.probability
    assert abs(sum(emitted.values()) - 1) < 1e-5
    target = TransformersModel(own_model())
    return sum(abs(p - chain(target, law, prompt.ids, ids)) for ids, p in emitted.items()) / 2


def spoken(pair: anydraft.Speculator, prompt: Any, law: Any, chance: Any) -> tuple[int, ...]:
    """Three tokens of a decode."""
    row = pair.engine.row(
        prompt,
        PairCaches(*pair.engine.sequences()),
        law=law,
        draft_law=law.without_prefix,
        randomness=chance,
        max_new_tokens=3,
        end_ids=frozenset(),
    )
    return tuple(token for _, event in decode([row]) for token in event.token_ids)


def chain(target: TransformersModel, law: Any, prompt: list[int], ids: tuple[int, ...]) -> float:
    """The target's own probability of ``ids`` after the prompt."""
    target.crop(0)
    logits = target.advance(torch.tensor([*prompt, *ids]), len(ids) + 1)[:-1]
    laws = law(logits, torch.tensor(prompt), torch.tensor(ids[:-1]))
    return float(laws.gather(-1, torch.tensor(ids)[:, None]).prod())


@pytest.mark.parametrize("method", ["tli", "slem", "slrs"])
@pytest.mark.usefixtures("always")
def test_the_output_has_the_targets_law(method: Method) -> None:
    """Every branch of three tokens, drafted with weights in bytes."""
    assert off(method) < 1e-5


@pytest.mark.usefixtures("always")
def test_a_law_that_is_almost_what_was_drawn_from_is_caught() -> None:
    assert off("tli", Otherwise) > 1e-4


@pytest.mark.real
def test_a_real_target_drafts_for_itself() -> None:
    """The copy in bytes nearly always agrees."""
    model, tokenizer = real_pair.model("smollm2"), real_pair.tokenizer("smollm2")
    options: dict[str, Any] = {"method": "tli", "num_draft_tokens": 3, "draft_weights": "int8"}
    pair = anydraft.Speculator(model, model, tokenizer, tokenizer, **options)
    for temperature in (0.0, 0.7):
        counts = [
            pair.generate(prompt, max_new_tokens=24, temperature=temperature, seed=1).stats
            for prompt in real_pair.PROMPTS[:12:2]
        ]
        assert sum(one.accepted for one in counts) > 0.8 * sum(one.proposed for one in counts)


@pytest.mark.parametrize("given", [{"weights": "int8"}, {"draft_weights": "int4"}])
def test_only_a_draft_may_be_rounded(given: dict[str, Any]) -> None:
    with pytest.raises(anydraft.ArgumentError, match="of the draft also 'int8'"):
        itself(**given)
