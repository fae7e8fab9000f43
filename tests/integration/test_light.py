"""``pip install anydraft`` alone: all about tokenizers works where PyTorch and transformers are absent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import cli_models
from anydraft.cli.app import app
from anydraft.loading.extras import EXTRAS

ROOT = Path(__file__).parents[2]
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
BLOCKED = (*sorted(set(EXTRAS) - {"pydantic"}), "regex", "scipy")  # typer itself brings pydantic
RUN = f"""
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""
MAIN = "from anydraft.cli import main; main()"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    cli_models.save(folder)
    return folder


def run(program: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN + program, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "100"},
    )


def test_the_bridge_and_streams() -> None:
    done = run("""
import anydraft
bridge = anydraft.Bridge("tiny", "tiny")
assert bridge.coverage().shared > 5000 and bridge.usage("def fib(n):").target == 1
stream = anydraft.Detokenizer(bridge.target)
assert stream.push(bridge.target.encode("Grüße".encode())) + stream.finish() == "Grüße"
assert "doctor" not in dir(anydraft)
""")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        ["doctor", "target", "draft"],
        ["doctor", "target", "tiny", "draft", "--html", "page.html"],
        ["align", "target", "draft", "def fib(n):"],
        ["fuzz", "target", "draft", "--examples", "2", "--seed", "0"],
    ],
    ids=" ".join,
)
def test_commands_that_need_no_model(command: list[str], here: Path) -> None:
    done = run(MAIN, *command, cwd=here)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "--target", "target", "--draft", "draft", "Once"],
        ["bench", "--target", "target", "--draft", "draft"],
        ["chat", "target", "draft"],
        ["demo"],
        ["shrink", "--draft", "draft", "--keep", "1k", "--usage", "target/config.json", "--out", "out"],
        ["train-draft", "--target", "target", "--corpus", "target/config.json", "--out", "out"],
        ["doctor", "target", "draft", "--predict"],
    ],
    ids=lambda command: command[0],
)
def test_commands_that_need_models_say_what_to_install(command: list[str], here: Path) -> None:
    done = run(MAIN, *command, cwd=here)
    assert done.returncode == 2, done.stdout + done.stderr
    said = r"error: this needs torch, which is not installed: pip install 'anydraft\[torch\]'\n"
    assert re.fullmatch(said, done.stderr), done.stderr


def test_a_server_says_what_to_install(here: Path) -> None:
    done = run(MAIN, "serve", "target", "draft", cwd=here)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install 'anydraft[serve]'" in done.stderr


@pytest.mark.parametrize("name", ["Speculator", "load_model", "custom_generate", "plan", "drafts"])
def test_classes_that_need_models_say_what_to_install(name: str) -> None:
    done = run(f"""
import anydraft
try:
    anydraft.{name}
except anydraft.AnydraftError as error:
    assert isinstance(error, ImportError)
    print(error)
""")
    assert done.stdout == "this needs torch, which is not installed: pip install 'anydraft[torch]'\n"


def test_files_that_only_transformers_reads_say_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    done = run(
        """
import sys
from anydraft import AnydraftError, Bridge
for name in sys.argv[1:]:
    try:
        Bridge(name, "tiny").target
    except AnydraftError as error:
        print(error)
""",
        str(tmp_path),
        str(tmp_path / "a.gguf"),
    )
    said = done.stdout.splitlines()
    assert len(said) == 2, done.stderr
    assert all("pip install 'anydraft[torch]'" in line for line in said)


def test_what_is_installed_alone_is_light() -> None:
    """No dependency of anydraft itself is one of the packages of an extra."""
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    alone = {re.split("[>=<]", one)[0].replace("-", "_") for one in project["dependencies"]}
    assert not alone & set(EXTRAS)
    brought = {
        extra: {re.split("[>=<]", one)[0].replace("-", "_") for one in wanted}
        for extra, wanted in project["optional-dependencies"].items()
    }
    for package, extra in EXTRAS.items():
        named = {"llama_cpp": "llama_cpp_python"}.get(package, package)
        assert named in brought[extra], (package, extra)
        assert named in brought["all"] or extra in ("llama-cpp", "vllm")
