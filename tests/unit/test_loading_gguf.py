"""Models and tokenizers from GGUF files, and the cache of what was converted."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import struct

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import tiny
from anydraft.errors import ModelFileError
from anydraft.loading import gguf
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.models.transformers import TransformersModel
from loaded import equal, needs_5, weights

pytestmark = pytest.mark.usefixtures("own_cache")
needs_gguf = pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="needs gguf")


@pytest.fixture
def file(tmp_path):
    import tiny_gguf

    return tiny_gguf.write(tmp_path / "tiny.gguf")


def entries(cache):
    return sorted(p.name for p in (cache / "gguf").glob("*")) if (cache / "gguf").exists() else []


@needs_gguf
def test_a_gguf_file_equals_what_transformers_reads(file):
    expected = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, dtype=torch.float32
    )
    model = load_model(file)
    assert equal(weights(model), weights(expected))
    assert getattr(model.config, "quantization_config", None) is None
    assert model.generation_config.eos_token_id == 2
    ids = tiny.ids(30, 200)
    with torch.no_grad():
        plain = expected(input_ids=ids[None]).logits[0]
    torch.testing.assert_close(TransformersModel(model).advance(ids, keep=30), plain, atol=1e-4, rtol=0)


@needs_gguf
def test_the_second_load_reads_the_cache(file, own_cache, monkeypatch):
    first = load_model(file)
    assert len(entries(own_cache)) == 1

    def forbidden(*_, **__):
        raise AssertionError("converted again")

    monkeypatch.setattr(gguf, "_unquantised", forbidden)
    second = load_model(file)
    assert equal(weights(first), weights(second))
    moved = file.rename(file.with_name("tiny.moved.gguf"))
    os.utime(moved, (1, 1))
    with pytest.raises(AssertionError):
        load_model(moved)  # the entry is named after the file too


@needs_gguf
def test_another_content_is_another_entry(file, own_cache):
    import tiny_gguf

    first = load_model(file)
    tiny_gguf.write(file, seed=1)
    second = load_model(file)
    assert not equal(weights(first), weights(second))
    assert len(entries(own_cache)) == 2


@needs_gguf
def test_float32_in_the_cache_serves_every_dtype(file, own_cache):
    half = load_model(file, dtype=torch.bfloat16)
    assert [name.rpartition("-")[2] for name in entries(own_cache)] == ["bfloat16"]
    whole = load_model(file)
    again = load_model(file, dtype=torch.bfloat16)
    assert len(entries(own_cache)) == 2
    assert equal(weights(half), weights(again))
    assert equal(weights(half), weights(whole.to(torch.bfloat16)))


@needs_gguf
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
@pytest.mark.parametrize("moment", ["reading", "de-quantising", "writing"])
def test_an_interrupted_conversion_leaves_nothing(file, own_cache, moment, error):
    def interrupt(stage, fraction):
        if stage == moment and (fraction > 0 or stage == "reading"):
            raise error

    with pytest.raises(ModelFileError if isinstance(error, OSError) else error) as caught:
        load_model(file, progress=interrupt)
    if isinstance(error, OSError):
        assert "ANYDRAFT_CACHE" in str(caught.value)
    assert entries(own_cache) == []
    assert equal(weights(load_model(file)), weights(load_model(file)))


def _load(path, cache, barrier, results):
    os.environ["ANYDRAFT_CACHE"] = str(cache)
    barrier.wait()
    results.put(float(sum(w.double().sum() for w in load_model(path).state_dict().values())))


@needs_gguf
def test_two_processes_at_once_agree(file, own_cache):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    runs = [context.Process(target=_load, args=(file, own_cache, barrier, results)) for _ in range(2)]
    for run in runs:
        run.start()
    sums = [results.get(timeout=120) for _ in runs]
    for run in runs:
        run.join()
    assert sums[0] == sums[1]
    assert len(entries(own_cache)) == 1


@needs_gguf
@needs_5
@pytest.mark.parametrize("add_bos", [False, True])
def test_the_tokenizer_of_a_gguf_file(tmp_path, own_cache, add_bos):
    import tiny_gguf

    file = tiny_gguf.write(tmp_path / "bos.gguf", add_bos=add_bos)
    for _ in range(2):
        tokenizer = load_tokenizer(file)
        ids = tokenizer("the<|im_end|>").input_ids
        assert ids == [1] * add_bos + [259, tokenizer.convert_tokens_to_ids("e"), 2]
        assert tokenizer.decode(ids[add_bos:]) == "the<|im_end|>"
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert len(entries(own_cache)) == 1


@needs_gguf
def test_a_damaged_gguf_file(tmp_path, own_cache):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\3" * 100)
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelFileError, match="bad"):
            load(tmp_path / "bad.gguf")
    assert entries(own_cache) == []


def test_without_the_gguf_package(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelFileError, match=r"pip install 'anydraft\[gguf\]'"):
        load_model(tmp_path / "a.gguf")


@needs_gguf
def test_transformers_is_silent_but_progress_is_told_and_settings_stay(file, capfd):
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    module = gguf_module()
    bar = module.tqdm
    told = []
    try:
        load_model(file, progress=lambda stage, fraction: told.append((stage, fraction)))
        assert logging.get_verbosity() == logging.INFO
        assert logging.is_progress_bar_enabled()
        assert module.tqdm is bar
    finally:
        logging.set_verbosity_warning()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    told = [(stage.partition(" ")[0], fraction) for stage, fraction in told]
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages == ["reading", "de-quantising", "writing", "loading"]
    for stage in ("de-quantising", "writing", "loading"):
        fractions = [fraction for name, fraction in told if name == stage]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0, 1)
    assert sum(stage == "de-quantising" for stage, _ in told) > 10


def gguf_module():
    from transformers import modeling_gguf_pytorch_utils

    return modeling_gguf_pytorch_utils
