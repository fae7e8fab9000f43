"""What every command does with the terminal: consoles, clean endings, text that cannot harm it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from anydraft.errors import AnydraftError
from anydraft.loading.extras import missing
from anydraft.loading.paths import escaped

_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_CONTROLS |= dict.fromkeys((0x7F, *range(0x80, 0xA0)), 0xFFFD)


def console() -> Console:
    """The console of standard output. Colours follow the terminal and ``NO_COLOR``."""
    return Console(highlight=False)


def error_console() -> Console:
    """The console of standard error, for everything that is not the answer."""
    return Console(stderr=True, highlight=False)


@contextmanager
def clean_endings() -> Iterator[None]:
    """Errors of anydraft end in one sentence and exit code 2; Ctrl-C in 130; a closed pipe quietly in 1."""
    with suppress(AttributeError):
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        yield
        sys.stdout.flush()
    except AnydraftError as error:
        _say(error)
        raise typer.Exit(2) from None
    except ModuleNotFoundError as error:
        absent = missing(error)
        if absent is None:
            raise
        _say(absent)
        raise typer.Exit(2) from None
    except MemoryError as error:
        _say(f"no memory is left{_why(error)}")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        error_console().print()
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # Nobody reads any more; the interpreter's own flush at exit must not fail a second time.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except OSError as error:  # a full disk, a file that may not be written
        _say(f"the system refused it{_why(error)}")
        raise typer.Exit(2) from None


def _why(error: Exception) -> str:
    return f" ({error})" if str(error) else ""


def _say(error: Exception | str) -> None:
    # a file may have named what the error quotes: nothing in it is to steer the terminal
    said = "\n".join(map(escaped, str(error).split("\n")))
    message = Text.assemble(("error: ", "bold red"), (said, "red"))
    error_console().print(message, soft_wrap=True)


def write(out: Console, text: str, style: Style | None = None) -> None:
    """Write text as it is: no wrapping, no markup, every space and tab kept.

    On a terminal, control characters are shown as pictures, so that no model can steer it.
    """
    if out.is_terminal:
        text = text.translate(_CONTROLS)
    out.print(Segments([Segment(text, style)]), end="", soft_wrap=True)
    out.file.flush()
