"""``anydraft bench`` on tiny models: every contender takes part, and the record is whole."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

import cli_models
from anydraft.bench.sets import SETS, own_set
from anydraft.cli import bench as module
from anydraft.cli.app import app
from anydraft.errors import ArgumentError


def test_a_table_a_record_and_a_chart(tmp_path: Path) -> None:
    target, draft = cli_models.save(tmp_path)
    mine = tmp_path / "mine.txt"
    mine.write_text("The quick brown\n---\ndef fib(n):\n    \n---\n", encoding="utf-8")
    record, chart = tmp_path / "bench.json", tmp_path / "bench.html"
    result = CliRunner().invoke(
        app,
        ["bench", "--target", str(target), "--draft", str(draft), "--prompts-file", str(mine),
         "--temperatures", "0", "--temperatures", "0.7", "--tokens", "16", "--device", "cpu",
         "--threads", "1", "--json", str(record), "--chart", str(chart)],
    )  # fmt: skip
    assert result.exit_code in (0, 1), result.output  # random models may well be slower
    found = json.loads(record.read_text())
    assert len(found["cells"]) == 2
    greedy = next(cell for title, cell in found["cells"].items() if "T=0" in title and "T=0.7" not in title)
    assert {"target alone", "transformers", "slem", "tli", "lookup", "auto"} <= set(greedy["contenders"])
    shares = greedy["contenders"]["auto"]["share"]
    assert abs(sum(shares.values()) - 1) < 1e-6
    assert "auto beside the target alone, least" in found["summary"]
    assert "<svg" in chart.read_text()


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    target, draft = cli_models.save(tmp_path)
    result = CliRunner().invoke(
        app, ["bench", "--target", str(target), "--draft", str(draft), "--sets", "cod"]
    )
    assert result.exit_code == 2
    assert "cod" in result.output


def test_prompts_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("a\nb\n---\n\n---\nc", encoding="utf-8")
    assert own_set(path) == ["a\nb", "c"]
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(ArgumentError, match="without any text"):
        own_set(path)
    assert all(SETS.values())


def test_temperatures_are_checked_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, draft = map(str, cli_models.save(tmp_path))
    monkeypatch.setattr(module, "load_pair", None)
    result = CliRunner().invoke(app, ["bench", "--target", target, "--draft", draft, "--temperatures", "-1"])
    assert result.exit_code == 2
    assert "got temperature=-1.0" in result.stderr


def test_paths_are_read_and_titles_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, draft = map(str, cli_models.save(tmp_path))
    (tmp_path / "red\x1b[31m.txt").write_text("Hello")
    given: dict[str, Any] = {}

    class Noted:
        record: ClassVar[dict[str, Any]] = {}

        def __init__(self, sets: dict[str, list[str]], *_: object, **paths: Path | None) -> None:
            given.update(paths, sets=sets)

        def run(self, *_: object) -> list[Any]:
            return []

    loaded = SimpleNamespace(name="x", model=None, tokenizer=None)
    monkeypatch.setattr(module, "load_pair", lambda *_, **__: (loaded, loaded))
    monkeypatch.setattr("anydraft.bench.record.Comparison", Noted)
    monkeypatch.setenv("HOME", str(tmp_path))
    told = ["--prompts-file", "~/red\x1b[31m.txt", "--json=~/r.json", "--chart=~/c.html"]
    result = CliRunner().invoke(app, ["bench", "--target", target, "--draft", draft, *told])
    assert result.exit_code == 0, result.output
    assert given["json_path"] == tmp_path / "r.json"
    assert given["chart_path"] == tmp_path / "c.html"
    assert given["sets"] == {r"red\x1b[31m": ["Hello"]}
