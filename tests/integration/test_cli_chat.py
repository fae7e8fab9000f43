"""``anydraft chat`` on tiny models, its lines from a pipe and from a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import anydraft
import cli_models
import small
from anydraft.cli import chat as module
from anydraft.cli.app import app
from anydraft.cli.chat import Talk
from served import HANG

PROGRAM = [sys.executable, "-c", "from anydraft.cli import main; main()"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [str(path) for path in cli_models.save(tmp_path_factory.mktemp("models"))]


def run(models: list[str], stdin: str | bytes, *arguments: str) -> Result:
    given = ["chat", *models, "--device", "cpu", "--max-new-tokens", "12", *arguments]
    return CliRunner().invoke(app, given, input=stdin)


def answers(*lines: str, system: str | None = None) -> list[str]:
    chat = small.speculator().chat(max_new_tokens=12)
    if system:
        chat.add("system", system)
    return [chat.say(line).text for line in lines]


def test_lines_of_a_pipe_are_messages_of_one_chat(models: list[str]) -> None:
    result = run(models, "The quick\nÇa va\n")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "".join(f"{text}\n" for text in answers("The quick", "Ça va"))
    assert result.stderr.count("12 tokens") == 2


def test_a_memory_is_kept_in_a_file(models: list[str], tmp_path: Path) -> None:
    path = tmp_path / "texts.memory"
    for _ in range(2):
        result = run(models, "The quick\nÇa va\n", "--memory-file", str(path))
        assert result.exit_code == 0, result.stderr
        assert result.stdout == "".join(f"{text}\n" for text in answers("The quick", "Ça va"))
        texts = anydraft.Memory.load(path)
        assert texts.bytes > 0
    assert run(models, "/reset\n").exit_code == 0
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]  # and nothing without the option


def test_reset_forgets_and_quit_ends(models: list[str]) -> None:
    result = run(models, "The quick\n/reset\n\n/what\nÇa va\n/stats\n/quit\nmore\n", "--system", "Be brief.")
    first, second = (answers(line, system="Be brief.")[0] for line in ("The quick", "Ça va"))
    assert result.stdout == f"{first}\n{second}\n"
    assert "24 tokens" in result.stderr
    assert "got /what; expected one of" in result.stderr


def test_the_last_line_needs_no_end(models: list[str]) -> None:
    assert run(models, "The quick").stdout == f"{answers('The quick')[0]}\n"
    assert run(models, b"\xff\n").exit_code == 2


def test_a_chat_that_is_too_long_is_told_and_can_be_reset(models: list[str]) -> None:
    long = " ".join(["word"] * 400)
    result = run(models, f"{long}\n/reset\nThe quick\n")
    assert result.exit_code == 0
    assert "the target's window holds 512" in result.stderr
    assert result.stdout == f"{answers('The quick')[0]}\n"


@pytest.mark.parametrize("after", [1, 3])
def test_ctrl_c_ends_an_answer_and_keeps_what_was_said(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    pair, shown = small.speculator(), []
    chats: list[anydraft.speculator.Conversation] = []

    def begin() -> Any:
        chats.append(pair.chat(max_new_tokens=40))
        return chats[-1]

    def write(_: Any, text: str) -> None:
        shown.append(text)
        if len(shown) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "write", write)
    talk = Talk(begin)
    talk.say("The quick")
    said = "".join(shown)
    assert chats[0].messages == [
        {"role": "user", "content": "The quick"},
        {"role": "assistant", "content": said},
    ]
    whole = pair.generate(messages=[{"role": "user", "content": "The quick"}], max_new_tokens=40).text
    assert whole.startswith(said)
    assert said != whole
    again = [*chats[0].messages, {"role": "user", "content": "Ça va"}]
    talk.say("Ça va")
    wanted = pair.generate(messages=again, max_new_tokens=40).text
    assert chats[0].messages[-1] == {"role": "assistant", "content": wanted}


@contextmanager
def terminal(models: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command on a terminal of its own, and our end of that."""
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "chat", *models, "--device", "cpu", "--threads", "1", "--max-new-tokens", "12"]
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}
    running = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    )
    os.close(theirs)
    try:
        yield running, ours
    finally:
        running.kill()
        running.wait(HANG)
        os.close(ours)


def read_until(end: int, wanted: str) -> str:
    """What is written up to some words."""
    said = b""
    while wanted.encode() not in said:
        assert select.select([end], [], [], HANG)[0], said
        said += os.read(end, 4096)
    return said.decode(errors="replace")


def test_on_a_terminal_lines_are_asked_for(models: list[str]) -> None:
    with terminal(models) as (running, end):
        read_until(end, "> ")
        time.sleep(0.5)  # readline writes its prompt before it waits for signals
        os.write(end, b"half a li\x03")
        read_until(end, "> ")
        os.write(end, b"The quick\n")
        assert "12 tokens" in read_until(end, "proposed")
        os.write(end, b"/quit\n")
        assert running.wait(HANG) == 0


def test_sampling_is_checked_before_anything_is_loaded(
    models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Named, "load", None)
    result = run(models, "Hi\n", "--temperature", "-1")
    assert result.exit_code == 2
    assert "got temperature=-1.0; expected 0 (greedy) or more" in result.stderr
