"""``anydraft doctor --predict``: the planner's measurements beside what the tokenizers tell."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

import cli_models
from anydraft.cli.app import app


def test_both_models_are_measured(tmp_path: Path) -> None:
    target, draft = cli_models.save(tmp_path)
    page = tmp_path / "report.html"
    asked = ["doctor", str(target), str(draft), "--predict", "--threads", "1", "--html", str(page)]
    result = CliRunner().invoke(app, [*asked, "--json"])
    assert result.exit_code in (0, 1), result.output
    plans = json.loads(result.stdout)["predicted"]
    assert [plan["decoding"] for plan in plans] == ["greedy", "sampling"]
    for plan in plans:
        methods = [row["method"] for row in plan["rows"]]
        assert "none" in methods
        assert len(methods) == len(set(methods)) > 1
        speeds = [row["tokens_per_second"] for row in plan["rows"]]
        assert speeds == sorted(speeds, reverse=True)
        assert plan["recommendation"]
    assert "Predicted speed" in page.read_text(encoding="utf-8")
    shown = CliRunner().invoke(app, asked)
    assert "target alone" in shown.stdout


def test_without_weights_or_with_several_drafts_it_says_why(tmp_path: Path) -> None:
    target, draft = cli_models.save(tmp_path)
    tokenizer = str(draft / "tokenizer.json")
    result = CliRunner().invoke(app, ["doctor", str(target), tokenizer, "--predict"])
    assert result.exit_code == 2
    assert "with weights" in result.output.replace("\n", " ")
    result = CliRunner().invoke(app, ["doctor", str(target), str(draft), str(draft), "--predict"])
    assert result.exit_code == 2
    assert "one target and one draft" in result.output.replace("\n", " ")
