"""``anydraft chat``: a conversation with the target on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anydraft.cli import options
from anydraft.cli.counts import added, in_a_line
from anydraft.cli.loading import check_sampling
from anydraft.cli.memory_file import kept
from anydraft.cli.pair import Named
from anydraft.cli.terminal import clean_endings, console, error_console, write
from anydraft.decoding.stats import Stats
from anydraft.errors import ArgumentError

if TYPE_CHECKING:
    from anydraft.chat import Conversation

EPILOG = """
**Examples**

    anydraft chat big-model/ tiny

    anydraft chat big-model/ small-model/ --system "Answer briefly." --temperature 0.7

    echo "Name three colours." | anydraft chat big.gguf small.gguf

/reset forgets what was said, /stats sums up, /quit or Ctrl-D ends. Ctrl-C ends an answer and keeps its text.
"""

_HELP = "commands: /reset, /stats, /quit"


def chat(
    target: options.TargetArgument,
    draft: options.DraftArgument,
    *,
    target_tokenizer: options.TargetTokenizer = None,
    draft_tokenizer: options.DraftTokenizer = None,
    system: Annotated[str | None, typer.Option(help="A message before all others.")] = None,
    max_new_tokens: options.MaxNewTokens = 1024,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    seed: options.Seed = None,
    method: options.Method = "auto",
    rule: options.Rule = None,
    num_draft_tokens: options.DraftTokens = None,
    memory_file: options.MemoryFile = None,
    engine: options.Engine = "auto",
    dtype: options.Dtype = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Talk with TARGET, sped up by DRAFT. Both keep what they have read from turn to turn.

    Answers go to standard output, everything else to standard error. Lines of a pipe are messages too.
    """
    with clean_endings(), kept(memory_file) as memory:
        named = Named.find(target, draft, target_tokenizer, draft_tokenizer)
        sampled: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "seed": seed,
        }
        check_sampling(sampled)
        drafted: dict[str, Any] = {"method": method, "rule": rule, "memory": memory}
        drafted["num_draft_tokens"] = num_draft_tokens or "auto"
        pair = named.load(dtype=dtype, device=device, threads=threads, engine=engine, **drafted)
        opening = [] if system is None else [{"role": "system", "content": system}]
        talk = Talk(lambda: pair.chat(opening, **sampled))
        if sys.stdin.isatty():
            error_console().print(f"{named.target.name} listens; {_HELP}", markup=False)
        while (said := _asked()) is not None:
            if said.startswith("/"):
                if not talk.command(said.strip()):
                    break
            elif said.strip():
                talk.say(said)


class Talk:
    """One conversation after another, with what all their answers took."""

    def __init__(self, begin: Callable[[], Conversation]) -> None:
        """``begin``: makes a conversation."""
        self._begin = begin
        self._chat = begin()
        self._stats = Stats()

    def command(self, said: str) -> bool:
        """Do what a line that begins with a slash says; whether the talk goes on."""
        if said == "/quit":
            return False
        if said == "/reset":
            del self._chat  # its caches first: there may be room for one conversation
            self._chat = self._begin()
        elif said == "/stats":
            _tell(in_a_line(self._stats))
        else:
            _tell(f"got {said}; expected one of the {_HELP}")
        return True

    def say(self, said: str) -> None:
        """Have a message answered. Ctrl-C ends the answer; what was said of it stays in the chat."""
        out, text, known = console(), "", len(self._chat.messages)
        try:
            turn = self._chat.stream(said)
        except ArgumentError as error:  # such as a chat longer than the window: /reset helps
            _tell(f"error: {error}")
            return
        try:
            for event in turn:
                text += event.text
                write(out, event.text)
                if event.draft_failure:
                    _tell(f"\nThe target went on alone: {event.draft_failure}")
        except KeyboardInterrupt:
            turn.close()
            if len(self._chat.messages) == known:
                self._chat.add("user", said)
                self._chat.add("assistant", text)
        out.print()
        self._count(turn.stats)

    def _count(self, stats: Stats) -> None:
        self._stats = added(self._stats, stats)
        _tell(in_a_line(stats))


def _asked() -> str | None:
    """The next message; ``None`` when there are no more."""
    if not sys.stdin.isatty():
        return _line()
    with suppress(ImportError):
        import readline  # noqa: F401  gives input() a history
    try:
        if sys.stdout.isatty():
            return input("> ")
        _tell("> ", end="")
        return input()
    except EOFError:
        _tell("")
        return None
    except KeyboardInterrupt:  # what was typed is given up
        _tell("")
        return ""


def _line() -> str | None:
    """A line of standard input."""
    line = sys.stdin.buffer.readline()
    try:
        return line.decode().rstrip("\r\n") if line else None
    except UnicodeDecodeError as error:
        raise ArgumentError(f"got standard input that is not UTF-8 text: {error}") from error


def _tell(said: str, end: str = "\n") -> None:
    error_console().print(said, end=end, markup=False, soft_wrap=True, style="dim")
