"""GGUF files at their own size, and models that are refused because they do not fit."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import anydraft
import real
import tiny
from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading import needs
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.needs import needed_bytes
from anydraft.loading.packed import PackedLinear
from anydraft.models.fast.twin import twin_of
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import pass_bytes
from loaded import needs_5

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="needs gguf"),
]


def written(path: Path, kind: str = "Q8_0", **sizes: int) -> Path:
    import gguf

    import tiny_gguf

    return tiny_gguf.write(path, kind=gguf.GGMLQuantizationType[kind], **sizes)


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1"])
def test_logits_are_those_of_the_unpacked_copy(kind: str, tmp_path: Path) -> None:
    file = written(tmp_path / "a.gguf", kind, groups=2)
    packed, dense = load_model(file, "packed"), load_model(file)
    ids = tiny.ids(30, 200)
    expected = TransformersModel(dense).advance(ids, 30)
    torch.testing.assert_close(TransformersModel(packed).advance(ids, 30), expected, atol=1e-4, rtol=0)
    assert packed.generation_config.eos_token_id == dense.generation_config.eos_token_id == 2


@needs_5
@pytest.mark.parametrize("role", ["target", "draft"])
def test_text_is_that_of_plain_generate(role: str, tmp_path: Path) -> None:
    file = written(tmp_path / "a.gguf")
    packed, other, tokenizer = load_model(file, "packed"), load_model(file), load_tokenizer(file)
    target, draft = (packed, other) if role == "target" else (other, packed)
    ids = tiny.ids(12, 200)[None]
    options = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": None, "repetition_penalty": 1.3}
    expected = target.generate(ids, **options).tolist()
    ours = anydraft.custom_generate(draft, tokenizer, tokenizer, num_draft_tokens=4)
    assert target.generate(ids, **options, custom_generate=ours).tolist() == expected
    assert ours.stats[0].drafted


def test_nothing_is_unpacked_behind_its_back(tmp_path: Path) -> None:
    packed = load_model(written(tmp_path / "a.gguf"), "packed")
    assert twin_of(packed) is packed
    assert twin_of(packed, drafts=True) is packed
    matrices = [module for module in packed.modules() if isinstance(module, PackedLinear)]
    assert len(matrices) == 14
    assert sum(matrix.weight.numel() for matrix in matrices) < pass_bytes(packed)
    assert pass_bytes(packed) < 0.45 * pass_bytes(load_model(tmp_path / "a.gguf"))
    assert TransformersModel(packed).dtype == torch.float32


_GROWTH = """
import json, sys, warnings
from anydraft.loading.folders import load_model
def told(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
warnings.simplefilter("ignore")
load_model(sys.argv[1], "packed")
open("/proc/self/clear_refs", "w").write("5")
before = told("VmRSS")
kept = load_model(sys.argv[2], sys.argv[3] if sys.argv[3] == "packed" else __import__("torch").float32)
print(json.dumps(told("VmHWM") - before))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak")
@pytest.mark.parametrize(("dtype", "most"), [("packed", 1.5), ("float32", None)])
def test_it_takes_the_memory_of_its_file(dtype: str, most: float | None, tmp_path: Path) -> None:
    """The copy in float32 is the control: it takes several times as much."""
    small = written(tmp_path / "small.gguf")
    file = written(tmp_path / "large.gguf", "Q4_0", width=1024, hidden=4096, layers=6)
    size = file.stat().st_size
    assert size > 50e6
    run = subprocess.run(
        [sys.executable, "-c", _GROWTH, small, file, dtype],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    growth = json.loads(run.stdout) / size
    assert growth < most if most else growth > 4
    needed = needed_bytes(file, "packed" if dtype == "packed" else torch.float32)
    assert needed is not None
    assert (0.8 if most else 5) * size < needed


def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a.gguf")
    load_model(file).save_pretrained(tmp_path / "folder")
    whole, own = needed_bytes(file), needed_bytes(file, "packed")
    assert whole
    assert own
    assert needed_bytes(tmp_path / "folder") == pytest.approx(whole, rel=0.1)
    assert needed_bytes(tmp_path / "folder", torch.bfloat16) == needed_bytes(tmp_path / "folder") // 2
    assert needed_bytes(tmp_path / "folder", "packed") is None
    monkeypatch.setattr(needs, "available_bytes", lambda: (whole + own) // 2)
    with pytest.raises(ModelFileError, match=r"takes .* as float32; .* left\. Load it with .*dtype='packed'"):
        load_model(file)
    with pytest.raises(ModelFileError, match=r"as float32; .* a smaller dtype"):
        load_model(tmp_path / "folder")
    load_model(file, "packed")
    monkeypatch.setattr(needs, "available_bytes", lambda: own - 1)
    with pytest.raises(ModelFileError, match="as packed"):
        load_model(file, "packed")
    monkeypatch.setattr(needs, "available_bytes", lambda: None)  # where the system does not say
    load_model(file)


def test_packed_where_nothing_is(tmp_path: Path) -> None:
    file = written(tmp_path / "a.gguf")
    load_model(file).save_pretrained(tmp_path / "folder")
    with pytest.raises(ArgumentError, match="expected a GGUF file and a CPU"):
        load_model(tmp_path / "folder", "packed")
    with pytest.raises(ArgumentError, match="expected a GGUF file and a CPU"):
        load_model(file, "packed", "meta")


def test_an_architecture_that_cannot_stay_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anydraft.loading.packed._SAFE", set())
    with pytest.raises(ModelFileError, match="architecture llama, whose"):
        load_model(written(tmp_path / "a.gguf"), "packed")


def test_a_file_that_lacks_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anydraft.loading.packed._tie", lambda _: None)
    with pytest.raises(ModelFileError, match="lack 1 weights of its model"):
        load_model(written(tmp_path / "a.gguf"), "packed")


@pytest.mark.real
def test_gemma_scales_what_it_unpacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its embeddings are multiplied, its head is the table of embeddings, and its norms are shifted."""
    monkeypatch.delenv("ANYDRAFT_CACHE")
    if real.missing("gemma3"):
        pytest.skip("gemma3 is not installed")
    file = packaged("gemma3")
    ids = torch.tensor([2, 100, 200, 300, 5, 6, 7])
    expected = TransformersModel(load_model(file)).advance(ids, 7)
    found = TransformersModel(load_model(file, "packed")).advance(ids, 7)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
