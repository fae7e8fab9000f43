"""Weights that change between two decodes: right afterwards, whatever wrote them and whatever was copied."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

import anydraft
import small
import tiny
from anydraft.decoding.caches import PairCaches
from anydraft.errors import ArgumentError
from anydraft.models.fast import twin
from anydraft.models.fast.cpu_linear import Quicker
from anydraft.models.fast.forward import LeanModel
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.trimmed_head import TrimmedModel
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import DraftWeights, Weights
from weight_changes import (
    CHANGES,
    MAKERS,
    counted,
    loaded_anew,
    norms,
    one_token,
    other_storage,
    projections,
    through_data,
)

ALL = frozenset(range(1, 17))


WEIGHTS: list[Weights] = list(get_args(Weights))


WAYS: list[Weights] = ["unpacked", "packed"]


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are quicker for all numbers of rows, and every draft is worth them."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")
    monkeypatch.setattr(twin, "quicker", lambda dtype, threads: Quicker(ALL, ALL, ALL))
    monkeypatch.setattr(twin, "_LEAST", 0)


def own(model: Any, ids: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(input_ids=ids[None], use_cache=False).logits[0]
    return logits


def close(found: Tensor, expected: Tensor, share: float = 1e-4) -> bool:
    return bool((found - expected).abs().amax() <= share * expected.abs().amax())


@pytest.mark.parametrize(("make", "change"), CHANGES)
@pytest.mark.parametrize("weights", WAYS)
@pytest.mark.usefixtures("copies")
def test_a_pass_is_that_of_the_weights_there_are(
    make: Callable[[], Any], weights: Weights, change: Callable[[Any], None]
) -> None:
    model, ids = make(), tiny.ids(9)
    kept = TransformersModel(model, FastPasses(weights))
    kept.advance(ids)
    kept.crop(0)
    for _ in range(2):
        change(model)
        kept.renew()
        for one in (TransformersModel(model, FastPasses(weights)), kept):
            one._forget()  # a new cache, of the dtype that there is now
            found = torch.cat([one.advance(part, len(part)) for part in ids.split([5, 1, 3])])
            assert close(found, own(model, ids))
            one.crop(0)


@pytest.mark.parametrize("change", [through_data, projections, norms, one_token, other_storage])
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.usefixtures("copies")
def test_a_draft_in_bytes_is_made_anew(make: Callable[[], Any], change: Callable[[Any], None]) -> None:
    """It computes what one does that is made of these weights for the first time."""
    model, ids = make(), tiny.ids(9)
    passes = FastPasses("int8", drafts=True)
    before = TransformersModel(model, passes).advance(ids, 9)
    change(model)
    fresh = copy.deepcopy(model)
    found, expected = (TransformersModel(one, passes).advance(ids, 9) for one in (model, fresh))
    assert torch.equal(found, expected)
    assert not torch.equal(found, before)


@pytest.mark.usefixtures("copies")
def test_unchanged_weights_are_not_copied_again() -> None:
    for weights in get_args(DraftWeights):
        model = tiny.gemma3()
        first = TransformersModel(model, FastPasses(weights, drafts=True)).runner
        assert TransformersModel(model, FastPasses(weights, drafts=True)).runner is first
        own(model, tiny.ids(3))
        assert TransformersModel(model, FastPasses(weights, drafts=True)).runner is first


@dataclass
class Used:
    """Two models as in use: both joined, and the draft for the target's ``generate``."""

    target: Any
    draft: Any
    speculator: anydraft.Speculator
    custom: anydraft.integrations.transformers.method.CustomGenerate


def used(weights: Any, **options: Any) -> Used:
    """A target and a draft of two layers each."""
    sides = small.byte_fallback(), small.byte_level()
    target = small.model(sides[0], seed=4)
    draft = small.model(sides[1], seed=1)
    options = {"weights": weights, "num_draft_tokens": 4, **options}
    made = anydraft.Speculator(target, draft, *sides, **options)
    return Used(target, draft, made, anydraft.custom_generate(draft, *sides, **options))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("change", [projections, norms, through_data])
@pytest.mark.usefixtures("copies")
def test_text_is_that_of_plain_generate(weights: Weights, change: Callable[[Any], None]) -> None:
    made = used(weights)
    target, draft = made.target, made.draft
    ids = torch.tensor([[1, 70, 80, 90]])
    given: dict[str, Any] = {"max_new_tokens": 24, "do_sample": False}
    texts = []
    for _ in range(3):
        plain = target.generate(ids, **given)
        texts.append(plain[0].tolist())
        assert torch.equal(target.generate(ids, **given, custom_generate=made.custom), plain)
        new = small.join((target, draft, small.byte_fallback(), small.byte_level()), weights=weights)
        for one in (made.speculator, new):
            found = one.generate(input_ids=ids[0].tolist(), max_new_tokens=24).token_ids
            assert list(found) == plain[0, 4:].tolist()
        change(target)
        change(draft)
    assert texts[0] != texts[1] != texts[2]


@pytest.mark.parametrize("change", [through_data, one_token, other_storage, loaded_anew, counted])
@pytest.mark.parametrize("rows", ["shared", list(range(5, 200)), list(range(150))])
@pytest.mark.usefixtures("copies")
def test_a_trimmed_head_is_made_anew(rows: Any, change: Callable[[Any], None]) -> None:
    made = used("packed", draft_head=rows)
    speculator, draft = made.speculator, made.draft
    caches = PairCaches(*speculator.engine.sequences())
    speculator.generate("The dog", max_new_tokens=4, caches=caches)
    first = speculator.engine.sequences()[1]
    assert isinstance(first, TrimmedModel)
    assert speculator.engine.sequences()[1].head is first.head  # type: ignore[attr-defined]
    change(draft)
    speculator.generate("The dog", max_new_tokens=4, caches=caches)
    second = speculator.engine.sequences()[1]
    assert isinstance(second, TrimmedModel)
    ids = tiny.ids(7)
    kept = second.head.rows
    assert close(second.advance(ids, 7)[:, kept], own(draft, ids)[:, kept])
    assert isinstance(caches.draft, TrimmedModel)
    assert caches.draft.head is second.head


@pytest.mark.usefixtures("copies")
def test_caches_that_are_kept_go_on_with_the_new_weights() -> None:
    made = used("packed")
    speculator = made.speculator
    caches = PairCaches(*speculator.engine.sequences())
    speculator.generate("The dog", max_new_tokens=4, caches=caches)
    through_data(made.target)
    speculator.generate("The dog", max_new_tokens=4, caches=caches)
    assert isinstance(caches.target, TransformersModel)
    assert caches.target.runner is speculator.engine.sequences()[0].runner  # type: ignore[attr-defined]


@pytest.mark.usefixtures("copies")
def test_refresh_is_for_what_cannot_be_seen() -> None:
    """A single number of a large matrix, written through ``.data``, and a setting of a module."""
    made = used("packed")
    speculator, drafted, target = made.speculator, made.custom, made.target
    ids = torch.tensor([[1, 70, 80, 90]])
    target.generate(ids, max_new_tokens=2, do_sample=False, custom_generate=drafted)
    attention = target.model.layers[0].self_attn
    for renew in (speculator.refresh, drafted.refresh):
        first = speculator.engine.sequences()[0]
        attention.scaling *= 4
        target.lm_head.weight.data[3, 5] += 50
        renew()
        second = speculator.engine.sequences()[0]
        assert isinstance(second.runner, LeanModel)  # type: ignore[attr-defined]
        assert second.runner is not first.runner  # type: ignore[attr-defined]
        assert close(second.advance(ids[0], 4), own(target, ids[0]))


def test_the_model_itself_runs_where_that_is_wanted() -> None:
    made = used("model")
    target, drafted = made.target, made.custom
    runners = [one.runner for one in made.speculator.engine.sequences()]  # type: ignore[attr-defined]
    assert runners == [target, made.draft]
    mixed = used("model", draft_weights="unpacked")
    runners = [one.runner for one in mixed.speculator.engine.sequences()]  # type: ignore[attr-defined]
    assert runners[0] is mixed.target
    assert runners[1] is not mixed.draft
    seen: list[Any] = []
    forward = target.forward
    ids = torch.full((2, 4), 70)
    target.forward = lambda *given, **named: seen.append(named) or forward(*given, **named)
    target.generate(ids, max_new_tokens=4, do_sample=False, custom_generate=drafted)
    assert seen
    for wrong in ({"draft_head": "shared"}, {"draft_head": [1, 2, 3]}):
        with pytest.raises(ArgumentError, match="expected 'full' or 'auto'"):
            used("model", **wrong)
    with pytest.raises(ArgumentError, match="got compile=True and weights='model'; expected one of them"):
        used("model", compile=True)
