"""``anydraft fuzz`` on small tokenizers, sound and faulty."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tokenizers import normalizers
from typer.testing import CliRunner, Result

import faults
import small
from anydraft.cli.app import app
from anydraft.testing import ALLOWANCES, LAWS, PAIR_LAWS, judging
from clocks import Clock

SOUND = ["--allow", "held-back-end"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``sound.json``, ``other.json`` (in SentencePiece style) and ``faulty.json`` (a normal form)."""
    made = tmp_path_factory.mktemp("tokenizers")
    for name, wheel in (
        ("sound", small.byte_level().backend_tokenizer),
        ("other", small.byte_fallback().backend_tokenizer),
        ("faulty", faults.composed()),
    ):
        (made / name).mkdir()
        (made / name / "tokenizer.json").write_text(wheel.to_str(), encoding="utf-8")
        shutil.copy(made / name / "tokenizer.json", made / f"{name}-tokenizer.json")
    return made


def run(*arguments: str | Path, width: int = 200) -> Result:
    named = ["fuzz", *map(str, arguments), "--seed", "0"]
    return CliRunner().invoke(app, named, env={"COLUMNS": str(width), "NO_COLOR": "1"})


def test_a_sound_tokenizer_passes(folder: Path) -> None:
    result = run(folder / "sound", *SOUND, "--examples", "20")
    assert result.exit_code == 0, result.stdout
    for one in LAWS:
        assert re.search(rf"│ {one.name} +│ .* │ passed │ +\d+ │ +\d+\.\d │", result.stdout), one.name
    assert result.stdout.rstrip().endswith(f"{len(LAWS)} passed; seed 0")
    assert result.stderr == ""


def test_a_faulty_one_fails_and_the_failure_is_explained(folder: Path) -> None:
    result = run(folder / "faulty", *SOUND, "--law", "round-trip", "--law", "splices")
    assert result.exit_code == 1
    assert re.search(r"│ round-trip +│ .* │ failed │", result.stdout)
    assert re.search(r"│ splices +│ .* │ passed │", result.stdout)
    said = result.stdout.partition("breaks the law round-trip")[2]
    assert re.search(r"expected +(?:[0-9a-f]{2} )+ \".*\"", said)
    assert re.search(r"got +(?:[0-9a-f]{2} )+ \".*\"", said)
    assert re.search(r"differs +at byte \d+: expected [0-9a-f]{2}, got ", said)
    assert re.search(r"ids \(\d+\):\n +\d+ +at 0 ", said)
    assert "allow nfc" in said
    assert said.rstrip().endswith("1 passed, 1 failed; seed 0")


def test_what_is_allowed_is_left_out(folder: Path) -> None:
    assert run(folder / "faulty", "--allow", "nfc", "--law", "round-trip").exit_code == 0


def test_json_has_it_all(folder: Path) -> None:
    result = run(
        folder / "faulty", "--law", "round-trip", "--law", "vocabulary", "--json", "--examples", "150"
    )
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["seed"], answer["examples"], answer["seconds"], answer["broken"]) == (0, 150, None, 1)
    assert answer["tokenizers"] == [str(folder / "faulty")]
    broken, kept = answer["laws"]
    assert (broken["law"], broken["outcome"], kept["outcome"]) == ("round-trip", "failed", "passed")
    violation = broken["violation"]
    text = bytes.fromhex(violation["given"]["text"]["hex"]).decode()
    assert normalizers.NFC().normalize_str(text) != text
    assert violation["expected"]["hex"] == text.encode().hex()
    assert violation["expected"]["hex"] != violation["got"]["hex"]
    assert violation["ids"][0]["tokens"][0].keys() == {"id", "hex", "text"}
    assert kept["violation"] is None
    assert kept["examples"] == 150


def test_the_same_seed_finds_the_same(folder: Path) -> None:
    said = [run(folder / "faulty", "--law", "round-trip", "--json").stdout for _ in range(2)]
    first, second = (json.loads(one)["laws"][0]["violation"] for one in said)
    assert first == second


def test_two_tokenizers_are_asked_as_a_pair_too(folder: Path) -> None:
    allowed = ["--allow", "held-back-end", "--allow", "space-mark"]
    result = run(folder / "other", folder / "sound", *allowed, "--examples", "5", "--json")
    assert result.exit_code == 0, result.stdout
    asked = [(one["tokenizer"], one["law"]) for one in json.loads(result.stdout)["laws"]]
    names = [str(folder / "other"), str(folder / "sound")]
    assert asked == [
        *((name, one.name) for name in names for one in LAWS),
        *((" <- ".join(names), one.name) for one in PAIR_LAWS),
    ]


def test_seconds_are_shared_by_all_laws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second at every reading, which is after every batch of examples."""
    monkeypatch.setattr(judging, "time", SimpleNamespace(perf_counter=Clock([1.0])))
    share = 5
    result = run(folder / "sound", *SOUND, "--seconds", str(share * len(LAWS)), "--json")
    assert result.exit_code == 0, result.stdout
    answer = json.loads(result.stdout)
    assert (answer["seconds"], answer["examples"]) == (share * len(LAWS), None)
    assert all(share <= one["seconds"] <= share + 1 for one in answer["laws"])


MODULE = """
class Mine:
    def encode(self, text): return list(text.encode("utf-16-be"))
    def decode(self, ids): return bytes(ids).decode("utf-16-be", "replace").replace("\\t", " ")

def make(): return Mine()
ready = Mine()
"""


@pytest.mark.parametrize("name", ["mine:Mine", "mine:make", "mine:ready"])
def test_a_tokenizer_in_python(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    result = run(name, "--law", "round-trip", "--law", "canonical")
    assert result.exit_code == 1, result.stdout
    assert f"{name} breaks the law round-trip" in result.stdout
    assert r'"\t"' in result.stdout
    assert "it needs token_bytes and encode_bytes" in result.stdout
    assert "1 failed, 1 skipped" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.json"], "nothing.json"),
        (["nothing:here"], "neither a path nor module:name"),
        (["{}/sound", "--law", "none"], "got the law 'none'; expected one of round-trip"),
        (["{}/sound", "--law", "pair-view"], "expected two tokenizers"),
        (["{}/sound", "--allow", "everything"], "got the allowances"),
    ],
)
def test_errors_end_in_one_sentence_and_2(folder: Path, arguments: list[str], said: str) -> None:
    result = run(*(argument.format(folder) for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert said in result.stderr


BUSY = """
from pathlib import Path

class Busy:
    def encode(self, text):
        Path("started").touch()
        return list(text.encode())
    def decode(self, ids): return bytes(ids).decode()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_with_130_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(BUSY, encoding="utf-8")
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from anydraft.cli import main; main()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program, "fuzz", "busy:Busy", "--seconds", "300"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    while not (tmp_path / "started").exists():  # waits for as long as it runs
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)  # a bound for a hang alone
    assert running.returncode == 130
    assert out == ""
    assert err.strip() == ""


def test_it_leaves_nothing_behind_and_needs_no_torch(folder: Path) -> None:
    program = f"""
import sys
from anydraft.cli.app import app
app(["fuzz", {str(folder / "sound")!r}, "--examples", "5", "--json"], standalone_mode=False)
print("torch" in sys.modules or "transformers" in sys.modules)
"""
    out = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=folder)
    assert out.splitlines()[-1] == "False"
    assert not (folder / ".hypothesis").exists()


def test_a_narrow_terminal_is_wide_enough(folder: Path) -> None:
    result = run(folder / "sound", *SOUND, "--examples", "2", width=80)
    table = [line for line in result.stdout.splitlines() if line[:1] in "│╭╰├"]
    assert max(map(len, table)) <= 80
    assert all(any(f"│ {one.name} " in line for line in table) for one in LAWS)


def test_help_shows_examples_and_every_allowance() -> None:
    said = CliRunner().invoke(app, ["fuzz", "--help"], env={"COLUMNS": "200"}).stdout
    assert "anydraft fuzz tokenizer.json" in said
    assert "Exit code" in said
    assert [name for name in ALLOWANCES if name not in said] == []
