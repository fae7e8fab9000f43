"""How the program ends, and what it writes, whatever is asked."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import typer
from rich.console import Console
from rich.style import Style
from typer.testing import CliRunner

import anydraft
import cli_models
import small
from anydraft.cli import options
from anydraft.cli.app import app
from anydraft.cli.pieces import Pieces
from anydraft.cli.terminal import clean_endings, write
from anydraft.proposers.registry import Method
from anydraft.sampling.rejection import Rule


def anydraft_process(*arguments: str, **keywords: object) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-c", "from anydraft.cli import main; main()", *arguments]
    # whoever runs the tests in the background may have Ctrl-C ignored, and a child would inherit that
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heard, **keywords
    )


def test_the_methods_offered_are_the_methods_there_are() -> None:
    assert get_args(options.MethodName) == get_args(Method)
    assert get_args(options.RuleName) == get_args(Rule)


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"anydraft {anydraft.__version__}\n")


@pytest.mark.parametrize("command", [[], ["demo"], ["generate"]])
def test_help_does_not_import_torch(command: list[str]) -> None:
    program = f"""
import sys
from anydraft.cli.app import app
app({[*command, "--help"]!r}, standalone_mode=False)
print("torch" in sys.modules)
"""
    out = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "Usage" in out
    assert out.splitlines()[-1] == "False"


def test_ctrl_c_ends_with_130() -> None:
    with pytest.raises(typer.Exit) as ended, clean_endings():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130


def test_errors_that_are_not_ours_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), clean_endings():
        raise ZeroDivisionError


@pytest.mark.skipif(os.name != "posix", reason="signals and pipes of POSIX")
@pytest.mark.parametrize("how", ["interrupt", "closed pipe"])
def test_a_stream_that_is_cut_off_ends_cleanly(how: str, tmp_path: Path) -> None:
    target, draft = cli_models.save(tmp_path)
    sides = ["--target", str(target), "--draft", str(draft), "--device", "cpu", "--threads", "1"]
    process = anydraft_process("generate", *sides, "--max-new-tokens", "480", "The quick")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1)
    if how == "interrupt":
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    process.stdout.close()
    said = process.stderr.read().decode()
    assert process.wait(60) == (130 if how == "interrupt" else 1)
    assert said.strip() == ""


@pytest.mark.parametrize("text", ["\tif  x:\n\n\t\t[red]y[/red]  ", "a" * 300, "🙂 Ça va\r\n", "日本" * 50])
def test_text_is_written_as_it_is(text: str) -> None:
    out = Console(file=io.StringIO(), width=40)
    write(out, text)
    assert out.file.getvalue() == text  # type: ignore[attr-defined]


def test_a_model_cannot_steer_the_terminal() -> None:
    out = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=40)
    write(out, "\x1b[2Ja\r\x07\x9bb\n\tc")
    assert out.file.getvalue() == "␛[2Ja␍␇�b\n\tc"  # type: ignore[attr-defined]


def test_colour_ends_where_the_text_ends() -> None:
    out = Console(file=io.StringIO(), force_terminal=True, color_system="standard", no_color=False, width=40)
    write(out, "a\nb", Style.parse("green"))
    assert out.file.getvalue() == "\x1b[32ma\nb\x1b[0m"  # type: ignore[attr-defined]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("method", get_args(Method))
def test_pieces_make_up_the_text_of_every_event(method: Method, swap: bool) -> None:
    pair = small.speculator(method=method, swap=swap)
    for prompt in ("Ça va", "日本 🙂"):
        stream = pair.stream(prompt, max_new_tokens=64, temperature=1.0, seed=1)
        pieces = Pieces(pair.bridge.target, stream.prompt_ids)
        for event in stream:
            found = pieces.of(event)
            assert "".join(piece.text for piece in found) == event.text
            assert all(piece.text for piece in found)
            assert all(a.origin != b.origin for a, b in itertools.pairwise(found))
            last = event.source or "accepted"
            assert all(piece.origin in ("accepted", last) for piece in found)


def test_starting_the_program_imports_nothing_heavy() -> None:
    program = "import sys, anydraft.cli.app; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
