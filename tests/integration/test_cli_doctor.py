"""``anydraft doctor`` on tiny tokenizers in folders and files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import normalizers
from typer.testing import CliRunner, Result

import cli_models
import small
from anydraft.cli.app import app
from anydraft.doctor import Subject, examine, subject
from byte_tokenizers import byte_level


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders with models, a tokenizer of single letters, one that is refused, and a text."""
    folder = tmp_path_factory.mktemp("models")
    cli_models.save(folder)
    byte_level().save(str(folder / "letters.json"))
    small.byte_level(350).backend_tokenizer.save(str(folder / "near.json"))
    lower = byte_level()
    lower.normalizer = normalizers.Lowercase()
    lower.save(str(folder / "lower.json"))
    (folder / "notes.txt").write_text("the dog sleeps; the fox runs on and on.\n")
    (folder / "words.txt").write_text(small.TEXT)
    return folder


def run(models: Path, *arguments: str) -> Result:
    there = set(os.listdir(models))
    paths = [str(models / part) if part in there else part for part in arguments]
    return CliRunner().invoke(app, ["doctor", *paths], env={"COLUMNS": "160"})


def test_a_pair(models: Path) -> None:
    result = run(models, "target", "draft")
    assert result.exit_code == 0, result.stderr
    for said in ("target ← draft", "Overlap by use", "whitespace", "False friends".lower()[:5], "<eos>"):
        assert said in result.stdout
    assert result.stdout.splitlines()[-1].startswith("usable: use ")
    assert result.stderr == ""


def test_json_is_the_librarys_report(models: Path) -> None:
    answer = json.loads(run(models, "target", "draft", "--json", "--top", "3").stdout)
    subjects = Subject.open(models / "target"), Subject.open(models / "draft", role="draft")
    assert answer == examine(*subjects, most=3).as_dict()
    assert len(answer["lost"]) <= 3


def test_own_texts_replace_the_samples(models: Path) -> None:
    answer = json.loads(
        run(models, "target", "draft", "--json", "--text", "notes.txt", "--text", "words.txt").stdout
    )
    assert [row["name"] for row in answer["texts"]] == ["notes.txt", "words.txt", "all"]
    assert answer["texts"][1]["bytes"] == len(small.TEXT.encode())


def test_exit_codes(models: Path) -> None:
    text = ["--text", "words.txt"]
    assert run(models, "target", "draft", *text).exit_code == 0
    poor = run(models, "draft", "letters.json", *text)
    assert poor.exit_code == 1
    assert poor.stdout.splitlines()[-1].startswith("poor: ")
    impossible = run(models, "target", "lower.json")
    assert impossible.exit_code == 2
    assert impossible.stdout.startswith("impossible: ")
    answer = json.loads(run(models, "target", "lower.json", "--json").stdout)
    assert answer["verdict"]["level"] == "impossible"


def test_several_drafts_are_ranked(models: Path) -> None:
    drafts = ["letters.json", "near.json", "lower.json", "notes.txt"]
    result = run(models, "draft", *drafts, "--text", "words.txt")
    assert result.exit_code == 0
    levels = ("usable", "poor", "impossible")
    rows = [line.split() for line in result.stdout.splitlines() if len(line.split()) > 1]
    shown = [row[1] for row in rows if row[1] in levels]
    assert shown == ["usable", "poor", "impossible", "impossible"]
    assert "lower: impossible: the draft's tokenizer" in result.stdout
    assert "notes: impossible: got" in result.stdout
    ranked = json.loads(run(models, "draft", *drafts, "--text", "words.txt", "--json").stdout)["pairs"]
    assert [entry["verdict"]["level"] for entry in ranked] == shown


def test_the_best_draft_decides_the_exit_code(models: Path) -> None:
    assert run(models, "draft", "letters.json", "lower.json", "--text", "words.txt").exit_code == 1
    assert run(models, "draft", "lower.json", "notes.txt").exit_code == 2


def test_every_pair_in_both_directions(models: Path) -> None:
    result = run(models, "--all", "target", "draft", "letters.json", "lower.json")
    assert result.exit_code == 0
    assert "12 pairs: " in result.stdout
    assert "6 pairs: " in run(models, "--all", "notes.txt", "target", "draft").stdout  # the first is none
    pairs = json.loads(run(models, "--all", "target", "draft", "letters.json", "--json").stdout)["pairs"]
    names = {(pair["target"]["name"], pair["draft"]["name"]) for pair in pairs}
    assert len(names) == len(pairs) == 6


def test_tokenizers_of_one_name_are_told_apart(models: Path, tmp_path: Path) -> None:
    byte_level().save(str(tmp_path / "letters.json"))
    pairs = json.loads(run(models, "letters.json", str(tmp_path / "letters.json"), "--json").stdout)
    assert pairs["target"]["name"] != pairs["draft"]["name"]


@pytest.mark.parametrize("options", [[], ["--all"]])
@pytest.mark.parametrize("drafts", [["draft"], ["draft", "letters.json", "lower.json"]])
def test_the_page_is_written(models: Path, tmp_path: Path, options: list[str], drafts: list[str]) -> None:
    file = tmp_path / "report.html"
    result = run(models, "target", *drafts, "--html", str(file), *options)
    assert result.exit_code == 0, result.stderr
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


BAD = [
    (["target", "no/such"], "no/such"),
    (["no/such", "draft", "draft"], "no/such"),
    (["target"], "Missing argument"),
    (["target", "draft", "--text", "no/such"], "no/such"),
    (["target", "draft", "--html", "no/such/report.html"], "report.html"),
    (["target", "draft", "--top", "-1"], "--top"),
    (["target", "notes.txt"], "notes.txt"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=lambda value: str(value[-1]))
def test_a_mistake_is_one_sentence_and_exit_code_2(models: Path, arguments: list[str], said: str) -> None:
    result = run(models, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["doctor", "align"])
def test_help_has_examples(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "160"})
    assert f"anydraft {command} " in result.stdout
    assert "Examples" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["doctor", "target", "draft"], ["align", "target", "draft", "Ça va"], ["doctor", "--help"]]
)
def test_no_command_of_these_imports_torch(models: Path, arguments: list[str]) -> None:
    program = """
import sys
from anydraft.cli.app import app
try:
    app(sys.argv[1:])
except SystemExit as ended:
    print(ended.code, "torch" in sys.modules)
"""
    out = subprocess.check_output([sys.executable, "-c", program, *arguments], cwd=models, encoding="utf-8")
    assert out.splitlines()[-1] == "0 False"
    assert "\x1b" not in out  # no colours where there is no terminal


@pytest.mark.parametrize("name", ["~nobody-here/x", "x" * 300, "y/" + "z" * 5000])
def test_an_impossible_name_is_refused_in_its_row(models: Path, name: str) -> None:
    result = run(models, "draft", "near.json", name, "--text", "words.txt")
    assert result.exit_code == 0, result.stderr
    assert "impossible" in result.stdout
    assert "near" in result.stdout
    alone = run(models, "draft", name)
    assert alone.exit_code == 2
    assert alone.stderr.startswith("error: got ")


def test_a_draft_whose_library_fails_is_refused_in_its_row(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(tokenizer: object, text: str) -> list[int]:
        if len(tokenizer) == 350:  # type: ignore[arg-type]
            raise RuntimeError("no such token")
        return own(tokenizer, text)

    own = subject._own_ids
    monkeypatch.setattr(subject, "_own_ids", fails)
    path = models / "failing"
    small.byte_level(350).save_pretrained(path)
    drafts = ("failing", "letters.json")
    result = run(models, "draft", *drafts, "--text", "words.txt", "--json")
    pairs = json.loads(result.stdout)["pairs"]
    assert [pair["verdict"]["level"] for pair in pairs][-1] == "impossible"
    assert "whose own library fails on a text (RuntimeError: no such token)" in result.stdout
    alone = run(models, "draft", "failing", "--text", "words.txt")
    assert alone.exit_code == 2
    assert "whose own library fails on a text" in alone.stderr


def test_names_of_texts_cannot_steer_a_terminal_or_spoil_the_page(models: Path, tmp_path: Path) -> None:
    files = [tmp_path / os.fsdecode(name) for name in (b"latin\xff.txt", b"red\x1b[31m.txt")]
    for file in files:
        file.write_text(small.TEXT)
    page = tmp_path / "page.html"
    told = [part for file in files for part in ("--text", str(file))]
    result = run(models, "target", "draft", *told, "--html", str(page))
    assert result.exit_code == 0, result.stderr
    assert "\x1b[31m.txt" not in result.stdout
    assert r"red\x1b[31m.txt" in page.read_text()
    assert r"latin\udcff.txt" in page.read_text()
