"""The page on fuzzing is true: its tests pass under plain pytest, its commands run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import small
from anydraft.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "fuzzing.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("tokenizer.json", "other.json"):
        (tmp_path / name).write_text(small.byte_level().backend_tokenizer.to_str(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tests_shown_pass_under_plain_pytest(here: Path) -> None:
    for i, block in enumerate(blocks("python")):
        (here / f"test_shown_{i}.py").write_text(block, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(here)],
        capture_output=True,
        text=True,
        cwd=here,
    )
    assert run.returncode == 0, run.stdout
    passed = int(re.search(r"(\d+) passed", run.stdout).group(1))  # type: ignore[union-attr]
    assert passed >= 20
    for shown in blocks("text"):
        assert shown in run.stdout


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_the_commands_shown_run(here: Path, line: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "anydraft"
    quick = ["--seconds", "1"] if "--seconds" in arguments else ["--examples", "3"]  # the last one counts
    result = CliRunner().invoke(app, [*arguments, *quick, "--seed", "0"])
    assert result.exit_code in (0, 1), result.stderr
    assert "round-trip" in result.stdout


def test_links_and_files_exist() -> None:
    links = {link for link in re.findall(r"\]\(([^)#\s]+)\)", PAGE) if "://" not in link}
    named = set(re.findall(r"`((?:docs|tests|python)/[\w./-]+)`", PAGE))
    assert [link for link in links if not (DOCS / link).exists()] == []
    assert [name for name in named if not (DOCS.parent / name).exists()] == []
