"""Every command, also one added later: help has examples that are right, colour stays where it is wanted."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import cli_models
from anydraft.cli.app import app
from sampled import one_of

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")
PROGRAM = [sys.executable, "-c", "from anydraft.cli import main; main()"]
RUNS = {
    "align": ["align", "target", "draft", "def fib(n):\n    return n 🙂"],
    "doctor": ["doctor", "target", "draft"],
    "fuzz": ["fuzz", "target", "--examples", "2", "--seed", "0"],
    "generate": [
        *["generate", "--target", "target", "--draft", "draft", "--device", "cpu", "--threads", "1"],
        *["--max-new-tokens", "4", "--stats", "The quick"],
    ],
    "serve-config": ["serve-config", "--target", "target", "--draft", "draft"],
    "error": ["doctor", "target", "nothing-there"],
}
"""What is run of the commands that need no packaged models, and an error."""


def helped(*command: str) -> str:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    return result.stdout


def examples(said: str) -> list[str]:
    after = said.partition("Examples")[2]
    return [line.strip() for line in after.splitlines() if re.search(r"(^|\| )anydraft ", line.strip())]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_has_examples_that_are_right(command: str) -> None:
    shown = examples(helped(*([command] if command else [])))
    assert shown, "no examples: give the command an EPILOG"
    for line in shown:
        arguments = shlex.split(line.rpartition("anydraft ")[2].partition(" | ")[0])
        known = helped() if arguments[0].startswith("--") else helped(arguments[0])
        assert not command or arguments[0] == command, line
        for flag in (part for part in arguments if part.startswith("--")):
            assert re.search(rf"{flag}\b", known), f"{flag} in: {line}"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_says_all_that_was_written(command: str) -> None:
    """Markdown swallows what looks like HTML."""
    epilogs = {"": app.info.epilog} | {
        str(info.name or info.callback.__name__).replace("_", "-"): info.epilog
        for info in app.registered_commands
    }  # type: ignore[union-attr]
    epilog = epilogs.get(command)
    if isinstance(epilog, str):
        said = re.sub(r"\s+", "", helped(*([command] if command else [])))
        assert re.sub(r"[\s*`]+", "", epilog) in said.replace("*", "")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    cli_models.save(folder)
    return folder


def environment(**changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE")}
    return {**kept, "TERM": "xterm-256color", "COLUMNS": "100", **changes}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_no_colour_where_the_output_is_no_terminal(command: str) -> None:
    said = CliRunner().invoke(app, [command, "--help"], env={"TERM": "xterm-256color"}, color=True)
    assert "\x1b" not in said.stdout


@pytest.mark.parametrize("run", RUNS)
def test_no_colour_where_the_output_is_no_terminal(run: str, here: Path) -> None:
    done = subprocess.run([*PROGRAM, *RUNS[run]], cwd=here, env=environment(), capture_output=True, text=True)
    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
@pytest.mark.parametrize("run", [*RUNS, *one_of(3, (f"{command} --help" for command in COMMANDS))])
def test_no_colour_on_a_terminal_with_no_color(run: str, here: Path) -> None:
    said = on_terminal(RUNS.get(run) or run.split(), here, environment(NO_COLOR="1"))
    assert said
    assert COLOUR.findall(said) == []


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
@pytest.mark.parametrize("run", ["align", "doctor", "error", "doctor --help"])
def test_there_is_colour_on_a_terminal(run: str, here: Path) -> None:
    assert COLOUR.search(on_terminal(RUNS.get(run) or run.split(), here, environment()))


def on_terminal(arguments: list[str], folder: Path, env: dict[str, str]) -> str:
    """What the program writes when it is run on a terminal of its own."""
    import pty

    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=folder, env=env, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    parts = []
    try:
        while part := os.read(leader, 65536):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    process.wait(120)
    os.close(leader)
    return b"".join(parts).decode(errors="replace")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(shell: str) -> None:
    """Both halves: the script that a shell is given, and what the program answers it."""
    asked = {**environment(), "_ANYDRAFT_COMPLETE": f"source_{shell}"}
    program = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'anydraft'; from anydraft.cli import main; main()",
    ]
    script = subprocess.run(program, env=asked, capture_output=True, text=True)
    assert "_ANYDRAFT_COMPLETE" in script.stdout
    for line, expected in (("anydraft do", "doctor"), ("anydraft doctor --ht", "--html")):
        words = line.split()
        asked = {
            **environment(),
            "_ANYDRAFT_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1],
        }
        answer = subprocess.run(program, env=asked, capture_output=True, text=True)
        assert expected in answer.stdout
