"""What a command does while one waits: a spinner or bars on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from anydraft.cli.terminal import error_console

Tell = Callable[[str], None]
"""Called with what is being done."""
Report = Callable[[str, float], None]
"""The same with how much of it is done, from 0 to 1."""

EVERY = 15.0
"""Seconds between two lines where standard error is no terminal. What is done sooner says nothing."""


@contextmanager
def waiting(said: str) -> Iterator[Tell]:
    """Inside the block, ``said``, or what it is told later, is shown as being done."""
    out = error_console()
    if not out.is_terminal:
        with Lines(out, said) as lines:
            yield lines.tell
        return
    with out.status(said) as status:
        yield lambda more: status.update(more)


class Lines:
    """A line with what is being done and for how long, whenever ``wait`` returns false."""

    def __init__(self, out: Console, said: str, wait: Callable[[float], bool] | None = None) -> None:
        """``wait``: sleeps for so many seconds; true if nothing is to be said any more."""
        self._out, self._said = out, said
        self._done = threading.Event()
        self._wait = wait or self._done.wait
        self._thread = threading.Thread(target=self._run, daemon=True, name="anydraft-waiting")

    def tell(self, said: str) -> None:
        """From now on this is done."""
        self._said = said

    def __enter__(self) -> Lines:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; no line comes after it."""
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._wait(EVERY):
            self._out.print(f"{self._said} ({time.monotonic() - began:.0f} s)", markup=False, soft_wrap=True)


class Loading:
    """Several things that are loaded one after another, each with its own stages."""

    def __init__(self, out: Console, bars: Progress, lines: Lines | None) -> None:
        """``lines``: in the place of the bars, where there is no terminal."""
        self._out, self._bars, self._lines = out, bars, lines

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[Loading]:
        """Inside the block, what is told is seen."""
        out = error_console()
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn()
        bars = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
        if out.is_terminal:
            with bars:
                yield cls(out, bars, None)
        else:
            with Lines(out, "loading") as lines:
                yield cls(out, bars, lines)

    @contextmanager
    def doing(self, said: str) -> Iterator[None]:
        """Inside the block this is done, for no one knows how long."""
        task = self._bars.add_task(said, total=None)
        self._tell(said)
        yield
        self._bars.remove_task(task)

    def of(self, name: str) -> Report:
        """A report for the thing of this name."""
        return _Stages(self, name, self._bars.add_task(name, total=None))

    def _tell(self, said: str) -> None:
        if self._lines is not None:
            self._lines.tell(said)

    def update(self, task: TaskID, said: str, fraction: float) -> None:
        """Show a stage; one that only begins and ends has no fraction to show."""
        total = 1.0 if fraction > 0.0 else None
        self._bars.update(task, description=said, completed=fraction, total=total)
        self._tell(said if total is None else f"{said}, {fraction:.0%}")

    def note(self, said: str) -> None:
        """Say something that stays."""
        self._out.print(said, markup=False, soft_wrap=True)


class _Stages:
    def __init__(self, loading: Loading, name: str, task: TaskID) -> None:
        self._loading, self._name, self._task = loading, name, task
        self._told = False

    def __call__(self, stage: str, fraction: float) -> None:
        if stage == "de-quantising" and not self._told:
            self._told = True
            self._loading.note(
                f"{self._name}: de-quantising its weights. Once only: they are kept in the cache folder."
            )
        self._loading.update(self._task, f"{self._name}: {stage}", fraction)
