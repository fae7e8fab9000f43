"""``anydraft serve`` as a process: it starts, answers, ends at Ctrl-C; mistakes are told before."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from typer.testing import CliRunner

import anydraft
import cli_models
import small
from anydraft.cli import pair as pair_module
from anydraft.cli import serve as serve_module
from anydraft.cli.app import app
from anydraft.loading import folders
from served import HANG

PROGRAM = [sys.executable, "-c", "from anydraft.cli import main; main()"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in cli_models.save(tmp_path_factory.mktemp("models"))]


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and its address."""
    running = subprocess.Popen(
        [*PROGRAM, "serve", *arguments, "--port", "0", "--device", "cpu", "--threads", "1"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **environment},
    )
    assert running.stderr is not None
    try:
        said = running.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/v1", said)
        assert address, said + running.stderr.read()
        yield running, address[0]
    finally:
        running.kill()
        running.wait(HANG)


def client(address: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key=key, timeout=HANG, max_retries=0)


def test_it_serves_and_ctrl_c_ends_what_is_in_flight(models: list[str]) -> None:
    with process(*models, "--name", "small", ANYDRAFT_API_KEY="secret") as (running, address):
        with pytest.raises(openai.AuthenticationError):
            client(address).models.list()
        ours = client(address, "secret")
        assert [model.id for model in ours.models.list()] == ["small"]
        wanted = small.speculator().generate("The quick", max_new_tokens=16).text
        options: dict[str, Any] = {"model": "small", "prompt": "The quick", "temperature": 0}
        assert ours.completions.create(**options).choices[0].text == wanted
        body = {"min_tokens": 400, "anydraft": {"method": "none"}}
        stream: Any = ours.completions.create(**options, max_tokens=400, stream=True, extra_body=body)
        next(iter(stream))
        running.send_signal(signal.SIGINT)
        said: list[Any] = []
        with pytest.raises(openai.APIError, match="shutting down"):
            said.extend(stream)
        assert running.wait(HANG) == 130
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()


def test_nothing_of_it_is_imported_unless_asked() -> None:
    looked = (
        "import sys, anydraft.cli.app; names = ('starlette', 'uvicorn', 'pydantic', 'prometheus_client', "
        "'anydraft.serving', 'torch'); print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", looked], capture_output=True, text=True, timeout=HANG, check=True
    )
    assert done.stdout == "[]\n"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["serve", *arguments, "--device", "cpu"])


def test_mistakes_are_told_before_anything_is_loaded(
    models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*_: Any, **__: Any) -> Any:
        raise AssertionError("loaded")

    monkeypatch.setattr(folders, "load_model", loads)
    mistakes = [
        (["no/such", models[1]], "no/such"),
        ([models[0], "no/such"], "no/such"),
        ([*models, "--host", "192.0.2.1", "--port", "0"], "192.0.2.1"),
        ([models[0], "tiny", "--draft-tokenizer", models[1]], "tiny"),
        ([*models, "--max-batch", "0"], "max-batch"),
    ]
    for arguments, said in mistakes:
        result = run(*arguments)
        assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
        assert "Traceback" not in result.stderr


def test_a_missing_package_is_one_sentence_with_the_command(
    models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_module, "find_spec", lambda name: None if name == "uvicorn" else object())
    result = run(*models)
    assert result.exit_code == 2
    assert "got no uvicorn" in result.stderr
    assert "pip install 'anydraft[serve]'" in result.stderr


def test_the_packaged_draft_has_a_name(models: list[str]) -> None:
    named = pair_module.Named.find(Path(models[0]), Path("tiny"), None, None)
    made = named.load(dtype="float32", device="cpu", threads=None, engine="auto")
    assert len(made.bridge.draft) == 6144
    json.dumps(made.engine.identity)


def test_a_memory_is_kept_in_a_file_and_only_if_asked_for(models: list[str], tmp_path: Path) -> None:
    path = tmp_path / "texts.memory"
    asked: dict[str, Any] = {
        "model": "small",
        "prompt": "The quick brown",
        "temperature": 0,
        "max_tokens": 24,
    }
    ways = (((), False), (("--memory",), True), (("--memory-file", str(path)), True))
    for options, remembers in ways:
        # With a given length every lookup is taken; else the clock of a busy machine decides.
        arguments = [*models, "--name", "small", "--method", "lookup", "--num-draft-tokens", "4", *options]
        with process(*arguments) as (running, address):
            ours = client(address)
            counts = [ours.completions.create(**asked).anydraft["looked_up"] for _ in range(2)]  # type: ignore[attr-defined]
            assert (counts[1] > counts[0]) == remembers
            running.send_signal(signal.SIGTERM)
            running.wait(HANG)
        assert path.exists() == (str(path) in options)
    assert len(anydraft.Memory.load(path)) == 1
