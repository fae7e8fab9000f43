"""Commands with GGUF files: llama.cpp runs them where it is asked for, and by default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import anydraft
from anydraft.cli.app import app
from files import alone, opened
from tiny_gguf import write


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("models") / "small.gguf")


def written(file: Path, *options: str) -> list[int]:
    result = run(
        *("generate", "--target", file, "--draft", file, "the thing", "--max-new-tokens", 12),
        *("--num-draft-tokens", 2, "--json", *options),
    )
    assert result.exit_code == 0, result.output
    ids: list[int] = json.loads(result.stdout.splitlines()[-1])["token_ids"]
    return ids


def test_generate_says_what_llama_cpp_says(small: Path) -> None:
    expected = alone(opened(small, n_ctx=256), anydraft.load_tokenizer(small)("the thing")["input_ids"], 12)
    assert written(small, "--threads", "1") == expected
    assert written(small, "--engine", "llama-cpp", "--threads", "1") == expected
    assert len(written(small, "--engine", "torch")) == len(written(small, "--dtype", "bfloat16")) == 12


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--engine", "llama-cpp", "--dtype", "bfloat16"], "expected one of them"),
        (["--engine", "vulkan"], "vulkan"),
    ],
)
def test_what_is_refused(small: Path, options: list[str], said: str) -> None:
    result = run("generate", "--target", small, "--draft", small, "x", *options)
    assert result.exit_code == 2
    assert said in result.output


def test_folders_are_not_for_llama_cpp(tmp_path: Path) -> None:
    model, tokenizer = anydraft.drafts.load("tiny")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    result = run("generate", "--target", tmp_path, "--draft", tmp_path, "x", "--engine", "llama-cpp")
    assert result.exit_code == 2
    assert "no GGUF file" in result.output


def test_the_doctor_tells_what_a_pass_costs(small: Path) -> None:
    result = run("doctor", small, small, "--predict", "--threads", 1)
    told = " ".join(result.output.split())
    assert "llama.cpp, 1 and 1 threads" in told
    assert "its pass over 5 tokens takes" in told


def test_bench_has_llama_cpp_beside_ours(small: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    run(
        *("bench", "--target", small, "--draft", small, "--sets", "code", "--temperatures", 0),
        *("--prompts", 1, "--tokens", 8, "--threads", 1, "--json", record),
    )
    (cell,) = json.loads(record.read_text())["cells"].values()
    assert {"llama.cpp", "llama.cpp lookup", "slem", "auto"} <= set(cell["contenders"])
