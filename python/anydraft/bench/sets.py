"""Prompt sets: what ships with the package, and a user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anydraft.bench.long_prompts import EDITING, LONG, SUMMARISING
from anydraft.bench.prompts import PROMPTS
from anydraft.errors import ArgumentError

SETS: dict[str, Sequence[str]] = {
    "code": PROMPTS["code"],
    "prose": PROMPTS["prose"],
    "multilingual": PROMPTS["multilingual"],
    "summarising": SUMMARISING,
    "editing": EDITING,
    "long": LONG,
}
"""By name; every prompt was written for this project."""


def own_set(path: Path) -> list[str]:
    """The prompts of a text file, apart by lines that hold nothing but ``---``.

    Raises:
        ArgumentError: no text in it, or none that is UTF-8.
    """
    try:
        parts = path.read_text(encoding="utf-8").split("\n---\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"got {path}, which is no readable UTF-8 file: {error}") from error
    prompts = [part.strip("\n") for part in parts if part.strip()]
    if not prompts:
        raise ArgumentError(f"got {path} without any text; expected prompts, apart by lines with ---")
    return prompts
