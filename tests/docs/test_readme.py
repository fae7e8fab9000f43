"""The documents are true: examples run, commands and files exist."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

import cli_models
import real
from anydraft.cli.app import app
from anydraft.loading import names as loading_names
from anydraft.proposers.registry import Method

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run_examples() -> tuple[dict[str, Any], str]:
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), names)
    return names, said.getvalue()


def check_examples(names: dict[str, Any], said: str) -> None:
    assert names["out"].text in said
    assert f"{names['out'].stats.block_efficiency} tokens per pass" in said
    assert names["out"].stats.tokens == len(names["out"].token_ids) > 0


def test_the_examples_run_on_tiny_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, _ = cli_models.save(tmp_path)
    monkeypatch.setattr(loading_names, "packaged", lambda *_: target)
    monkeypatch.chdir(tmp_path)
    check_examples(*run_examples())


@pytest.mark.real
@pytest.mark.skipif(not real.installed("smollm2"), reason="no packaged model")
def test_the_examples_run_on_the_real_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names, said = run_examples()
    check_examples(names, said)
    assert "return" in names["out"].text


def test_the_commands_shown_exist() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("anydraft ")]
    assert lines
    for line in lines:
        command, *arguments = shlex.split(line.partition("anydraft ")[2], comments=True)
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, line
        for flag in (part for part in arguments if part.startswith("--")):
            assert re.search(rf"{flag}\b", shown.stdout), f"{flag} in: {line}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_targets_of_make_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z0-9-]+)|`make ([a-z0-9-]+)", text, flags=re.MULTILINE):
        name = "".join(target)
        assert re.search(rf"^{name}:", makefile, flags=re.MULTILINE), name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_files_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = {link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link}
    # Test files are named without their folder after the first one of a row.
    named = set(re.findall(r"`((?:rust|tests|python|docs|requirements|\.ci)/[\w./-]+)`", text))
    missing = [path for path in links | named if not (ROOT / path).exists()]
    assert missing == []
    tests = [name for name in re.findall(r"`(test_\w+\.py)`", text) if not list((ROOT / "tests").rglob(name))]
    assert tests == []


def test_the_selections_of_tests_shown_select_tests() -> None:
    claims = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
    assert len(re.findall(r'ARGS="-k (\w+)"', claims)) > 3
    for names in re.findall(r'ARGS="-k (\w+)"', claims):
        assert list((ROOT / "tests").rglob(f"*{names}*.py")), names


def test_it_fits_into_a_screen_or_two() -> None:
    assert len(README.splitlines()) <= 80


def test_every_method_is_in_the_table() -> None:
    methods = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^\| `([\w-]+)` \|", methods, flags=re.MULTILINE))
    assert found | {"auto"} == set(get_args(Method))


def test_the_bridge_needs_no_torch() -> None:
    program = """
import sys
import anydraft
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(pre_tokenizers.ByteLevel.alphabet())}, []))
tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
assert anydraft.Bridge(tokenizer, tokenizer).coverage().shared == 256
print("torch" in sys.modules or "transformers" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"
