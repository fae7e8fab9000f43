"""``anydraft align``: two rows, boundaries one above the other, whatever the width."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner, Result

import cli_models
import doctor_subjects
import texts
from anydraft.cli.align import Column, rows, wrapped
from anydraft.cli.app import app
from anydraft.doctor.examine import picture

TARGET, DRAFT = doctor_subjects.fallback(), doctor_subjects.level()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in cli_models.save(tmp_path_factory.mktemp("models"))]


def run(models: list[str], text: str, stdin: bytes | None = None, width: int = 60, **env: str) -> Result:
    return CliRunner().invoke(app, ["align", *models, text], input=stdin, env={"COLUMNS": str(width), **env})


def columns(text: bytes) -> list[Column]:
    return [Column(**vars(block)) for block in picture(TARGET, DRAFT, text).blocks]


def test_both_rows_have_the_text_and_the_same_boundaries(models: list[str]) -> None:
    result = run(models, "The quick dog\n")
    assert result.exit_code == 0, result.stderr
    ours, theirs = result.stdout.splitlines()[:2]
    assert ours.startswith("target")
    assert theirs.startswith("draft")
    assert [i for i, c in enumerate(ours) if c == "┃"] == [i for i, c in enumerate(theirs) if c == "┃"]
    for line in (ours, theirs):
        shown = line[7:].replace("┃", "").replace("·", "").replace(" ", "")
        assert shown == "The␣quick␣dog⏎"
    assert "boundaries in common" in result.stdout


def test_a_text_from_standard_input_need_not_be_utf_8(models: list[str]) -> None:
    result = run(models, "-", stdin=b"a\xff\x1b[2J\x00")
    assert result.exit_code == 0, result.stderr
    assert "<FF>" in result.stdout
    assert "␛" in result.stdout
    assert "\x1b" not in result.stdout


def test_colours_are_on_only_where_they_are_seen(models: list[str]) -> None:
    assert "\x1b[" not in run(models, "Ça va").stdout
    assert "\x1b[" in run(models, "Ça va", FORCE_COLOR="1", TERM="xterm-256color").stdout
    plain = run(models, "Ça va", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[30" not in plain
    assert "46m" not in plain


@pytest.mark.parametrize("width", [20, 37, 60, 200])
def test_lines_fit_the_terminal(models: list[str], width: int) -> None:
    result = run(models, "日本語の文章です。 12345 🙂 " * 5, width=width)
    pairs = [line for line in result.stdout.splitlines() if "┃" in line]
    assert pairs
    assert all(cell_len(line) <= width for line in pairs)


@given(texts.data, st.integers(20, 120))
def test_nothing_is_lost_and_boundaries_stand_above_each_other(data: bytes, width: int) -> None:
    whole = columns(data)
    lines = wrapped(whole, width)
    for side, subject in (("target", TARGET), ("draft", DRAFT)):
        shown = "".join(token for line in lines for column in line for token in getattr(column, side))
        written = subject.encode(data).ids.tolist()
        assert shown == "".join(subject.label(i) for i in written)
    assert sum(column.common for line in lines for column in line) == sum(column.common for column in whole)
    for line in lines:
        assert line
        assert sum(column.width for column in line) <= width
        above, below = rows(line)
        assert cell_len(above.plain) == cell_len(below.plain) <= width


def test_a_boundary_that_is_not_common_is_not_drawn() -> None:
    out = Console(file=io.StringIO(), width=80)
    above, _ = rows([Column(["ab"], ["a"], common=False), Column(["c"], ["c"])])
    out.print(above)
    assert out.file.getvalue() == "ab c┃\n"  # type: ignore[attr-defined]


def test_tokens_of_one_side_are_parted() -> None:
    assert [row.plain for row in rows([Column(["ab"], ["a", "b"])])] == ["ab ┃", "a·b┃"]


def test_an_empty_text_is_refused(models: list[str]) -> None:
    result = run(models, "")
    assert result.exit_code == 2
    assert "empty" in result.stderr


def test_missing_files_are_named(tmp_path: Path) -> None:
    result = run([str(tmp_path / "no"), str(tmp_path / "no")], "x")
    assert result.exit_code == 2
    assert "nothing" in result.stderr
