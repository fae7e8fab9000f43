"""Where standard error is a file, a line says now and then what is being done."""

from __future__ import annotations

import io
import threading

from rich.console import Console

from anydraft.cli.waiting import EVERY, Lines


def test_a_line_at_every_turn_of_the_clock_and_none_after_the_end() -> None:
    out = Console(file=io.StringIO(), force_terminal=False, width=20)
    asked: list[float] = []
    turns = iter([False, False, True])
    seen, go_on = threading.Event(), threading.Event()

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        if len(asked) == 2:
            seen.set()
            assert go_on.wait(60)
        return next(turns)

    with Lines(out, "reading a long file name", wait) as lines:
        assert seen.wait(60)
        lines.tell("writing")
        go_on.set()
    said = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert [line.rpartition(" (")[0] for line in said] == ["reading a long file name", "writing"]
    assert asked == [EVERY] * 3


def test_what_ends_soon_says_nothing() -> None:
    out = Console(file=io.StringIO(), force_terminal=False)
    with Lines(out, "reading"):
        pass
    assert out.file.getvalue() == ""  # type: ignore[attr-defined]
