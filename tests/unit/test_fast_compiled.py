"""Compiled passes give the model's own logits, whatever was advanced and cropped before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
import small
import tiny
from anydraft.errors import ModelError
from anydraft.models.fast import compiled as module
from anydraft.models.fast.compiled import CompiledLeanModel, StaticLayer
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.trimmed_head import TrimmedModel, trimmed_head
from anydraft.models.transformers import TransformersModel

COMPILER = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler")),
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")),
]
Maker = Callable[[], Any]


def own(model: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids[None], use_cache=False).logits[0]
    return logits


def compiled(model: Any) -> TransformersModel:
    ours = TransformersModel(model, FastPasses(compile=True))
    assert isinstance(ours.runner, CompiledLeanModel)
    return ours


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    return bool((found - expected).abs().amax() <= 1e-4 * expected.abs().amax())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("make", [tiny.llama, tiny.gemma3])
def test_a_text_in_pieces_gets_the_models_logits(
    make: Maker, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across the sliding window of 16 tokens, and twice across the places of the cache."""
    monkeypatch.setattr(module, "_LEAST_ROOM", 32)
    monkeypatch.setattr(CompiledLeanModel, "sizes", (1, 4))
    model = make().to(device)
    ours, ids = compiled(model), tiny.ids(80).to(device)
    expected = own(model, ids)
    at = 0
    for n in (3, 1, 9, 4, 3, 1, 1, 1, 10, 1, 20, 2, 4, 1, 3):
        assert close(ours.advance(ids[at : at + n], n), expected[at : at + n]), at
        at += n
    assert ours.cache.layers[0].key_store.shape[2] == 128
    ours.crop(20)
    ours.advance(tiny.ids(4, seed=5).to(device), 1)
    ours.crop(20)
    assert close(ours.advance(ids[20:24], 2), expected[22:24])
    fresh = compiled(model)  # another sequence, the same compiled passes
    assert fresh.runner is ours.runner
    fresh.advance(ids[:10])
    assert close(fresh.advance(ids[10:11]), expected[10:11])
    assert close(ours.advance(ids[24:25]), expected[24:25])


@pytest.mark.parametrize("device", DEVICES)
def test_passes_are_really_compiled(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama().to(device)
    ours, ids = compiled(model), tiny.ids(12).to(device)
    ours.advance(ids[:10])
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    ours.advance(ids[10:11])
    ours.advance(ids[11:])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + 1
    assert all(isinstance(layer, StaticLayer) for layer in ours.cache.layers)


@pytest.mark.parametrize("device", DEVICES)
def test_a_trimmed_head(device: str) -> None:
    model: Any = tiny.llama().to(device)
    rows = torch.arange(0, 97, 3)
    head = trimmed_head(model, rows)
    assert head is not None
    ours = TrimmedModel(model, head, FastPasses(compile=True))
    ids = tiny.ids(12).to(device)
    ours.advance(ids[:10])
    assert close(ours.advance(ids[10:11])[:, rows], own(model, ids)[10:11, rows])


@pytest.mark.parametrize("device", DEVICES)
def test_a_decode_says_what_it_says_without(device: str) -> None:
    *models, target, draft = small.pair()
    parts = *(model.to(device) for model in models), target, draft
    plain, fast = (small.join(parts, compile=way, num_draft_tokens=3) for way in (False, True))
    given = {"max_new_tokens": 12}
    assert fast.generate("The quick", **given).token_ids == plain.generate("The quick", **given).token_ids


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
