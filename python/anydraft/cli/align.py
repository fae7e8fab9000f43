"""``anydraft align``: a text as two tokenizers cut it, one above the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from anydraft.cli import options
from anydraft.cli.terminal import clean_endings, console
from anydraft.cli.waiting import waiting
from anydraft.errors import ArgumentError
from anydraft.loading.names import look_for

if TYPE_CHECKING:
    from anydraft.bridge.tokenizer_source import Role
    from anydraft.doctor import Subject

EPILOG = """
**Examples**

    anydraft align big-model/ small-model/ "def fib(n):"

    anydraft align big.gguf tokenizer.json - < README.md

A **┃** is where both have a boundary, a **·** where only one has. Spaces are shown as **␣**, line ends as
**⏎**, bytes that are no character as `<F0>`.
"""

_COMMON, _OWN = "┃", "·"
_STYLES = {
    "target": ("black on cyan", "black on bright_cyan"),
    "draft": ("black on yellow", "black on bright_yellow"),
}
_LEAST_WIDTH = 20


@dataclass(frozen=True)
class Column:
    """What lies between two common boundaries: the visible tokens of both sides."""

    target: list[str]
    draft: list[str]
    common: bool = True
    """Whether it ends at a common boundary, and not only at the end of a line."""

    @property
    def width(self) -> int:
        """Cells on the terminal, with the boundary at its end."""
        return max(_width(self.target), _width(self.draft)) + 1


def align(
    target: Annotated[Path, typer.Argument(help="A folder or a tokenizer's file; weights are not needed.")],
    draft: Annotated[Path, typer.Argument(help="Another.")],
    text: Annotated[str, typer.Argument(help="The text, or - for standard input.")],
    *,
    pattern: options.Pattern = None,
) -> None:
    """Show a text as TARGET and DRAFT cut it, with the boundaries that they share."""
    with clean_endings():
        for path in (target, draft):
            look_for(path, weights=False)
        from anydraft.doctor import Subject
        from anydraft.doctor.examine import picture

        said = _text(text)
        with waiting("reading tokenizers") as tell:
            roles: tuple[tuple[Path, Role], ...] = (target, "target"), (draft, "draft")
            sides = [
                Subject.open(
                    path,
                    lambda stage, _: tell(f"reading tokenizers: {stage}"),
                    pattern=pattern,
                    role=role,
                )
                for path, role in roles
            ]
        columns = [Column(**vars(block)) for block in picture(sides[0], sides[1], said).blocks]
        _print(console(), sides, columns)


def _print(out: Console, sides: Sequence[Subject], columns: Sequence[Column]) -> None:
    names = [side.name for side in sides]
    label = min(max(map(cell_len, names)), out.width // 4) if out.width >= 2 * _LEAST_WIDTH else 0
    counts = sum(len(column.target) for column in columns), sum(len(column.draft) for column in columns)
    for line in wrapped(columns, max(out.width - label - 1, _LEAST_WIDTH)):
        for name, row in zip(names, rows(line), strict=True):
            head = Text(name, style="dim")
            head.truncate(label, overflow="ellipsis", pad=True)
            out.print(Text.assemble(head, " ", row) if label else row, soft_wrap=True)
        out.print()
    common = sum(column.common for column in columns)
    said = f"{names[0]}: {counts[0]} tokens; {names[1]}: {counts[1]} tokens; {common} boundaries in common"
    out.print(Text(said), soft_wrap=True)


def wrapped(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Lines of columns no wider than ``width`` cells; a column that is wider is cut."""
    lines: list[list[Column]] = [[]]
    used = 0
    for column in chain.from_iterable(_fitting(whole, width) for whole in columns):
        if lines[-1] and used + column.width > width:
            lines.append([])
            used = 0
        lines[-1].append(column)
        used += column.width
    return lines if lines[-1] else lines[:-1]


def rows(line: Sequence[Column]) -> tuple[Text, Text]:
    """The target's row and the draft's, of equal width, with common boundaries one above the other."""
    made = Text(), Text()
    for column in line:
        width = column.width - 1
        for row, tokens, styles in zip(made, (column.target, column.draft), _STYLES.values(), strict=True):
            for i, token in enumerate(tokens):
                if i:
                    row.append(_OWN, "dim")
                row.append(token, styles[i % 2])
            row.append(" " * (width - _width(tokens)))
            row.append(_COMMON if column.common else " ", "bold")
    return made


def _fitting(column: Column, width: int) -> list[Column]:
    """A column too wide for a line, cut into several that are not; only the terminal is the reason."""
    if column.width <= width:
        return [column]
    ours, theirs = _lines(column.target, width - 1), _lines(column.draft, width - 1)
    pairs: list[tuple[list[str], list[str]]] = list(zip_longest(ours, theirs, fillvalue=[]))
    last = len(pairs) - 1
    return [Column(*pair, common=column.common and i == last) for i, pair in enumerate(pairs)]


def _lines(tokens: list[str], width: int) -> list[list[str]]:
    lines: list[list[str]] = [[]]
    for token in tokens:
        pieces = [str(piece) for piece in Text(token).wrap(Console(width=width), width, overflow="fold")]
        for piece in pieces:
            if lines[-1] and _width([*lines[-1], piece]) > width:
                lines.append([])
            lines[-1].append(piece)
    return lines


def _width(tokens: Sequence[str]) -> int:
    return sum(map(cell_len, tokens)) + max(len(tokens) - 1, 0)


def _text(given: str) -> bytes:
    """The text as bytes, which need not be UTF-8."""
    data = sys.stdin.buffer.read() if given == "-" else os.fsencode(given)
    if not data:
        raise ArgumentError("got an empty text; expected something to cut")
    return data
