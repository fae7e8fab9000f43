"""Compiled and recorded passes give the model's own logits, whatever was advanced and cropped before."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
import small
import tiny
from anydraft.errors import ModelError
from anydraft.models.fast import compiled as compiling
from anydraft.models.fast import graphs
from anydraft.models.fast import recorded as recording
from anydraft.models.fast.compiled import CompiledLean, StaticLayer
from anydraft.models.fast.recorded import RecordedLean
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.static import StaticLean
from anydraft.models.fast.trimmed_head import TrimmedModel, trimmed_head
from anydraft.models.transformers import TransformersModel
from graphs import rehearse

COMPILER = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
WITH_COMPILER = pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
WITH_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
DEVICES = [pytest.param("cpu", marks=WITH_COMPILER), pytest.param("cuda", marks=WITH_CUDA)]
WAYS = [
    pytest.param(("compiled", "cpu"), marks=WITH_COMPILER, id="compiled-cpu"),
    pytest.param(("compiled", "cuda"), marks=WITH_CUDA, id="compiled-cuda"),
    pytest.param(("recorded", "cpu"), id="recorded-cpu"),  # all but the graph, which is run anew
    pytest.param(("recorded", "cuda"), marks=WITH_CUDA, id="recorded-cuda"),
]
Maker = Callable[[], Any]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, str]:
    """Whether passes are compiled, and the device."""
    kind, device = request.param
    if (kind, device) == ("recorded", "cpu"):
        rehearse(monkeypatch)
    return kind == "compiled", device


def own(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids[None], use_cache=False).logits[0]
    return logits


def static(model: Any, *, compile: bool = True) -> TransformersModel:  # noqa: A002
    ours = TransformersModel(model, FastPasses(compile=compile))
    assert isinstance(ours.runner, CompiledLean if compile else RecordedLean)
    return ours


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().amax() <= 1e-4 * expected.abs().amax())


@pytest.mark.parametrize("make", [tiny.llama, tiny.gemma3])
def test_a_text_in_pieces_gets_the_models_logits(
    make: Maker, way: tuple[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across the sliding window of 16 tokens, and twice across the places of the cache."""
    compiles, device = way
    monkeypatch.setattr(compiling, "_LEAST_ROOM", 32)
    monkeypatch.setattr(recording, "_LEAST_PLACES", 32)
    for kind in (CompiledLean, RecordedLean):
        monkeypatch.setattr(kind, "sizes", (1, 4))
    model = make().to(device)
    ours, ids = static(model, compile=compiles), tiny.ids(80).to(device)
    expected = own(model, ids)
    at = 0
    for n in (3, 1, 9, 4, 3, 1, 1, 1, 10, 1, 20, 2, 4, 1, 3):
        assert close(ours.advance(ids[at : at + n], n), expected[at : at + n]), at
        at += n
    assert ours.cache.layers[0].key_store.shape[2] == (128 if compiles else 96)
    ours.crop(20)
    ours.advance(tiny.ids(4, seed=5).to(device), 1)
    ours.crop(20)
    assert close(ours.advance(ids[20:24], 2), expected[22:24])
    fresh = static(model, compile=compiles)  # another sequence, the same passes
    assert fresh.runner is ours.runner
    fresh.advance(ids[:10])
    assert close(fresh.advance(ids[10:11]), expected[10:11])
    assert close(ours.advance(ids[24:25]), expected[24:25])


@pytest.mark.parametrize("device", DEVICES)
def test_passes_are_really_compiled(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama().to(device)
    ours, ids = static(model), tiny.ids(12).to(device)
    ours.advance(ids[:10])
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    ours.advance(ids[10:11])
    ours.advance(ids[11:])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + 1
    assert all(isinstance(layer, StaticLayer) for layer in ours.cache.layers)


def test_a_trimmed_head(way: tuple[bool, str]) -> None:
    model: Any = tiny.llama().to(way[1])
    rows = torch.arange(0, 97, 3)
    head = trimmed_head(model, rows)
    assert head is not None
    ours = TrimmedModel(model, head, FastPasses(compile=way[0]))
    assert isinstance(ours.runner, StaticLean)
    ids = tiny.ids(12).to(way[1])
    ours.advance(ids[:10])
    assert close(ours.advance(ids[10:11])[:, rows], own(model, ids)[10:11, rows])


def test_a_decode_says_what_it_says_without(way: tuple[bool, str]) -> None:
    compiles, device = way
    *models, target, draft = small.pair()
    parts = *(model.to(device) for model in models), target, draft
    given = {"max_new_tokens": 12}
    own = small.join(parts, weights="model", num_draft_tokens=3).generate("The quick", **given).token_ids
    fast = small.join(parts, compile=compiles, num_draft_tokens=3)
    for _ in range(2):
        assert fast.generate("The quick", **given).token_ids == own


def test_stores_and_their_graphs_serve_the_next_text(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    first, second = static(model, compile=False), static(model, compile=False)
    for ours in (first, second):
        ours.advance(ids[:10])
        ours.advance(ids[10:11])
    stores = [ours.cache.layers[0].key_store for ours in (first, second)]
    assert stores[0] is not stores[1]
    places = first.cache.layers[0].places
    with torch.no_grad():
        places._stores[0][0].fill_(torch.nan)  # of a former text
    del first, ours
    third = static(model, compile=False)
    third.advance(ids[:4])
    assert close(third.advance(ids[4:7], 3), own(model, ids)[4:7])
    assert third.cache.layers[0].places is places
    assert third.cache.layers[0].key_store is stores[0]


def test_stores_made_in_inference_mode_serve_texts_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    with torch.inference_mode():
        ours = static(model, compile=False)
        ours.advance(ids[:10])
        ours.advance(ids[10:11])
    places = ours.cache.layers[0].places
    del ours
    ours = static(model, compile=False)
    ours.advance(ids[:5])
    assert close(ours.advance(ids[5:7], 2), own(model, ids)[5:7])
    assert ours.cache.layers[0].places is places


def test_a_cache_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    ours, ids = static(tiny.llama(), compile=False), tiny.ids(30)
    ours.advance(ids[:10])
    ours.advance(ids[10:11])
    read = pickle.loads(pickle.dumps(ours.cache))
    assert read.layers[0].places is None
    assert torch.equal(read.layers[0].keys, ours.cache.layers[0].keys)


def test_threads_share_what_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    expected = own(model, ids)

    def read(_: int) -> bool:
        ours = static(model, compile=False)
        ours.advance(ids[:10])
        return close(torch.cat([ours.advance(ids[at : at + 2], 2) for at in range(10, 30, 2)]), expected[10:])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(64)))


def test_stores_are_kept_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)

    def kept() -> int:
        texts = [static(model, compile=False) for _ in range(3)]
        for ours in texts:
            ours.advance(ids[:10])
            ours.advance(ids[10:11])
        runner = texts[0].runner
        assert isinstance(runner, RecordedLean)
        one = texts[0].cache.layers[0].places.nbytes
        monkeypatch.setattr(recording, "_FREE_BYTES", 2 * one)
        del texts, ours
        last = static(model, compile=False)
        last.advance(ids[:10])
        last.advance(ids[10:11])  # which takes one of them
        return len(runner._free)

    assert kept() == 2  # of the three, one is taken


def test_under_autocast_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    ours = static(model, compile=False)
    ours.advance(ids[:10])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours.renew()
        assert ours.runner is model
        ours.advance(ids[10:11])
        assert TransformersModel(model, FastPasses()).runner is model
    assert ours.cache.layers[0].places is None


def test_a_copy_of_a_cache_has_stores_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    ours = static(model, compile=False)
    ours.advance(ids[:10])
    ours.advance(ids[10:11])
    copied = copy.deepcopy(ours.cache)
    assert copied.layers[0].places is None
    ours.advance(ids[11:12])
    with torch.no_grad():
        logits = ours.runner(input_ids=tiny.ids(3, seed=9)[None], past_key_values=copied).logits
    assert logits.shape[1] == 3
    assert close(ours.advance(ids[12:14], 2), own(model, ids)[12:14])


def test_weights_that_lie_elsewhere_are_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    ours = static(model, compile=False)
    ours.advance(ids[:10])
    ours.advance(ids[10:11])
    before = ours.cache.layers[0].places
    ours.renew()
    ours.advance(ids[11:12])
    assert ours.cache.layers[0].places is before
    model.lm_head.weight.data = model.lm_head.weight.data.clone()
    ours.renew()
    ours.advance(ids[12:13])
    assert ours.cache.layers[0].places is not before


def test_where_nothing_can_be_recorded_passes_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(monkeypatch)

    def fail(*_: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "record", fail)
    model, ids = tiny.llama(), tiny.ids(30)
    ours, expected = static(model, compile=False), own(model, ids)
    ours.advance(ids[:10])
    with pytest.warns(UserWarning, match="not permitted when stream is capturing.*one kernel after"):
        assert close(ours.advance(ids[10:12], 2), expected[10:12])
    for at in (12, 13):
        assert close(ours.advance(ids[at : at + 1]), expected[at : at + 1])


def test_a_model_that_goes_away_takes_what_was_recorded_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """By counting references alone: the memory of a GPU cannot wait for the garbage collector."""
    rehearse(monkeypatch)
    model, ids = tiny.llama(), tiny.ids(30)
    ours = static(model, compile=False)
    ours.advance(ids[:10])
    ours.advance(ids[10:11])
    seen = weakref.ref(ours.runner)
    gc.collect()
    gc.disable()
    try:
        del ours, model
        assert seen() is None
    finally:
        gc.enable()


def test_places_are_few_sizes_and_not_many_more_than_needed() -> None:
    counts = {length: recording.places_for(length) for length in range(1, 40_000)}
    assert all(length <= count <= max(512, 1.25 * length + 512) for length, count in counts.items())
    assert len(set(counts.values())) < 40


@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
def test_generate_with_a_compiled_draft() -> None:
    tokenizers = small.byte_fallback(), small.byte_level()
    target, draft = (small.model(tokenizer, seed=i) for i, tokenizer in enumerate(tokenizers))
    drafted = anydraft.custom_generate(draft, *tokenizers, compile=True, num_draft_tokens=3)
    given = {"max_new_tokens": 8, "do_sample": False}
    ids = torch.tensor([[70, 80, 90]])
    assert torch.equal(target.generate(ids, **given, custom_generate=drafted), target.generate(ids, **given))


ONE_PASS = """
import torch, tiny
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel
ours, ids = TransformersModel(tiny.gemma3(), FastPasses(compile=True)), tiny.ids(6)
ours.advance(ids[:5])
print(torch.backends.cpu.get_cpu_capability(), ours.advance(ids[5:]).double().sum().item())
"""


@pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")
def test_passes_made_for_another_cpu_are_made_anew(tmp_path: Path) -> None:
    """The second process finds on disk what the first has compiled, with shorter vectors."""
    given = {
        **os.environ,
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[1] / "support"),
    }
    sums = []
    for less in ({"ATEN_CPU_CAPABILITY": "avx2"}, {}):
        ran = subprocess.run(
            [sys.executable, "-c", ONE_PASS], env={**given, **less}, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        sums.append(float(ran.stdout.split()[-1]))
    assert sums[1] == pytest.approx(sums[0], rel=1e-4)


def test_a_model_without_a_lean_form_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Olmo2ForCausalLM; expected a plain model.*LlamaForCausalLM"):
        TransformersModel(tiny.olmo2(), FastPasses(compile=True))
