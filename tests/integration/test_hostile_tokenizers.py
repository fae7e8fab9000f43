"""Tokenizers out of proportion, or with stages that cannot run: refused in bounded time and memory."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from anydraft import Bridge, Tokenizer
from anydraft.errors import ModelFileError, TokenizerError
from anydraft.loading.folders import load_tokenizer
from hostile import command, opened

pytestmark = pytest.mark.usefixtures("own_cache")


def hostile_json(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    data = json.loads(small.byte_level().backend_tokenizer.to_str())
    change(data)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("token", [10**6 * 2, 10**8, 10**9, 2**32 - 1])
def test_ids_far_beyond_the_tokens_take_no_memory(tmp_path: Path, token: int) -> None:
    """In a process that may not take 100 MB more than it has."""
    file = hostile_json(tmp_path / "tokenizer.json", lambda data: data["model"]["vocab"].update(far=token))
    bytes_of = (base64.b64encode(bytes([i])).decode() for i in range(256))
    lines = [f"{text} {i}" for i, text in enumerate(bytes_of)]
    (tmp_path / "far.tiktoken").write_text("\n".join([*lines, f"YWE= {token}"]))
    tekken = {
        "config": {"pattern": ".", "default_num_special_tokens": token, "default_vocab_size": token + 9},
        "vocab": [{"token_bytes": "YQ==", "rank": 0}],
    }
    (tmp_path / "tekken.json").write_text(json.dumps(tekken))
    program = f"""
import resource, sys
from pathlib import Path
from anydraft import Bridge, Tokenizer
from anydraft.errors import AnydraftError
from anydraft.loading.tokenizers import load_tokenizer_file
from anydraft.loading.tokenizer_quick import open_tokenizer
from anydraft.testing import Subject
folder = Path({str(tmp_path)!r})
def attempt(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        work()
    except AnydraftError as error:
        print(type(error).__name__)
    else:
        print("accepted")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000, grown
attempt(lambda: Tokenizer.from_json({str(file)!r} and Path({str(file)!r}).read_text()))
def bridge(path, **asked):
    one = load_tokenizer_file(path, asked.get("pattern"), asked.get("special"))
    Bridge(one, one).core
attempt(lambda: bridge(folder / "tokenizer.json"))
attempt(lambda: open_tokenizer(folder, lambda *_: None))
attempt(lambda: Subject.of(folder / "tokenizer.json"))
attempt(lambda: bridge(folder / "far.tiktoken", pattern="."))
attempt(lambda: bridge(folder / "tekken.json"))
"""
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # a bound for a hang alone: a loop over 2**32 ids
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [
        "TokenizerError",
        *["ModelFileError"] * 3,
        "TokenizerError",
        "ModelFileError",
    ]


HOSTILE_STAGES: list[dict[str, Any]] = [
    {"type": "FixedLength", "length": 0},
    {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "(?<=a+)b"}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "(?=a)"}, "behavior": "MergedWithNext", "invert": True},
    {"type": "Digits"},
    {"type": "FixedLength", "length": 2**64 - 1},
]


@pytest.mark.parametrize("stage", HOSTILE_STAGES, ids=lambda stage: json.dumps(stage)[:60])
def test_a_stage_that_cannot_run_is_a_tokenizer_error_or_harmless(
    stage: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Never a panic, which is no Exception, and nothing on standard error."""
    data = json.loads(small.byte_level().backend_tokenizer.to_str())
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [stage, last]}
    try:
        tokenizer = Tokenizer.from_json(json.dumps(data))
    except TokenizerError:
        pass
    else:
        assert tokenizer.decode(tokenizer.encode("Abc 12, déf".encode()) or []) == "Abc 12, déf".encode()
        Bridge(tokenizer, tokenizer).session().commit([0], [])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("asked", ["doctor", "fuzz"])
def test_a_fixed_length_of_nothing_on_the_command_line(
    models: tuple[Path, Path], tmp_path: Path, asked: str
) -> None:
    file = hostile_json(
        tmp_path / "tokenizer.json",
        lambda data: data.update(pre_tokenizer={"type": "FixedLength", "length": 0}),
    )
    found = command(asked, file, *([models[1]] if asked == "doctor" else ["--examples", "5"]))
    assert "Traceback" not in found.stderr
    assert asked == "fuzz" or "panicked" not in found.stderr  # fuzz asks the tokenizer itself, which prints
    assert "FixedLength" in (found.stdout + found.stderr).replace("\n", " ")


def tiktoken_lines(count: int) -> bytes:
    tokens = [bytes([i]) for i in range(256)] + [b"%d" % i for i in range(10, 10_000)]
    return b"\n".join(base64.b64encode(token) + b" %d" % i for i, token in enumerate(tokens[:count])) + b"\n"


@pytest.mark.parametrize("name", ["tokenizer.model", "qwen.tiktoken", "tokenizer.model.v3"])
def test_tiktokens_format_is_told_by_its_content(
    models: tuple[Path, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tiktoken")
    from anydraft.loading import tiktoken_files, tiktoken_known

    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / name).write_bytes(tiktoken_lines(2_000))
    (folder / "config.json").write_bytes((models[0] / "config.json").read_bytes())
    said = r"neither the regular expression.*nor control tokens.*pattern=.*special_tokens=.*tokenizer\.json"
    for path in (folder, folder / name):
        for load in (load_tokenizer, opened):
            with pytest.raises(ModelFileError, match=said):
                load(path)
    found = command("doctor", folder, models[1])
    assert found.returncode == 2
    assert "neither" in found.stderr
    given = load_tokenizer(folder, pattern=r"\d|[^\d]+", special_tokens={"<|eot|>": 2_000})
    assert given.encode("a1<|eot|>", allowed_special="all") == [97, 49, 2_000]
    known = tiktoken_known.KnownEncoding(r"\d|[^\d]+", {"<|eot|>": 2_000})
    monkeypatch.setattr(tiktoken_files, "known_encoding", lambda *_: known)
    for load in (load_tokenizer, opened):
        assert load(folder).encode("a1<|eot|>", allowed_special="all") == [97, 49, 2_000]


@pytest.mark.parametrize("place", ["vocab.json", "tokenizer.4.0.json"])
def test_ids_far_beyond_the_tokens_in_other_files_of_a_folder(tmp_path: Path, place: str) -> None:
    small.byte_level().save_pretrained(tmp_path)
    whole = tmp_path / "tokenizer.json"
    data = json.loads(whole.read_text())
    data["model"]["vocab"]["far"] = 10**9
    if place == "vocab.json":
        whole.unlink()
        (tmp_path / place).write_text(json.dumps(data["model"]["vocab"]))
        (tmp_path / "merges.txt").write_text("#version: 0.2\n")
        told = {"tokenizer_class": "GPT2Tokenizer"}
    else:
        (tmp_path / place).write_text(json.dumps(data))
        told = {"tokenizer_class": "PreTrainedTokenizerFast", "fast_tokenizer_files": [place]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    with pytest.raises(ModelFileError, match=rf"{place}, with the id 1000000000 in a vocabulary"):
        load_tokenizer(tmp_path)
    data["model"]["vocab"]["far"] = 300
    (tmp_path / place).write_text(json.dumps(data["model"]["vocab"] if place == "vocab.json" else data))
    (tmp_path / "stats.json").write_text('{"num_parameters": 134515008}')  # no vocabulary
    load_tokenizer(tmp_path)
