"""``anydraft serve-config``: a command that vLLM and a shell understand."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli_models
from anydraft.cli.app import app
from anydraft.integrations.vllm.command import PROPOSER
from anydraft.integrations.vllm.proposer import Settings


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    target, draft = cli_models.save(tmp_path_factory.mktemp("a folder"))
    return ["--target", str(target), "--draft", str(draft)]


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["serve-config", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_is_one_for_a_shell(sides: list[str]) -> None:
    code, out, said = run(*sides, "--num-speculative-tokens", "7", "--tensor-parallel-size", "8")
    assert code == 0
    assert said.startswith(("usable", "poor"))
    words = shlex.split(out.replace("\\\n", " "))
    assert words[:4] == ["PROMETHEUS_MULTIPROC_DIR=$(mktemp", "-d)", "vllm", "serve"]
    options = dict(zip(words[5::2], words[6::2], strict=True))
    assert words[4] == sides[1]
    assert json.loads(options["--speculative-config"]) == {
        "method": "custom_class",
        "model": PROPOSER,
        "num_speculative_tokens": 7,
    }
    assert options["--tensor-parallel-size"] == "8"
    settings = Settings.of(json.loads(options["--additional-config"]))
    assert settings.draft == sides[3]


def test_the_server_as_a_module(sides: list[str]) -> None:
    _, out, _ = run(*sides, "--launcher", "python")
    words = shlex.split(out.replace("\\\n", " "))
    assert words[2:6] == ["python", "-m", "vllm.entrypoints.openai.api_server", "--model"]
    assert words[6] == sides[1]


def test_as_json(sides: list[str]) -> None:
    code, out, _ = run(*sides, "--json", "--threads", "2", "--device", "cpu")
    parts = json.loads(out)
    assert code == 0
    assert Settings.of(parts["additional_config"]).threads == 2
    assert parts["arguments"][:3] == ["vllm", "serve", sides[1]]


def test_a_folder_that_is_not_there_is_named(sides: list[str]) -> None:
    code, out, said = run(*sides[:3], str(Path("no", "such", "model")))
    assert code == 2
    assert out == ""
    assert "no/such/model" in said.replace("\n", "")
