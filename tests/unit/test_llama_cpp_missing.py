"""Without llama-cpp-python: nothing of it is imported, and what needs it says so in a sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from anydraft.cli import engines
from anydraft.cli.app import app


def said(code: str) -> str:
    """What a new process prints that cannot import the library."""
    lines = f"import sys\nsys.modules['llama_cpp'] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_nothing_of_it_is_imported() -> None:
    code = "import anydraft, sys\nanydraft.Speculator\nprint('llama_cpp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_draft_says_what_to_install() -> None:
    tries = "try:\n    anydraft.LlamaDraft\nexcept anydraft.AnydraftError as error:\n    print(error)"
    assert "pip install 'anydraft[llama-cpp]'" in said(f"import anydraft\n{tries}")


def test_everything_else_can_be_imported() -> None:
    assert said("from anydraft import *\nprint(Speculator.__name__)") == "Speculator"


def test_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    file = f"{tmp_path}/model.gguf"
    open(file, "wb").close()
    result = CliRunner().invoke(
        app, ["generate", "--target", file, "--draft", file, "x", "--engine", "llama-cpp"]
    )
    assert result.exit_code == 2
    assert "pip install 'anydraft[llama-cpp]'" in result.output
