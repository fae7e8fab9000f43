"""The texts that overlap is weighted with: what comes with the package, or the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias

from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading.paths import A_TEXT, escaped, existing

Category: TypeAlias = Literal["prose", "code", "multilingual", "numbers", "whitespace"]
CATEGORIES: tuple[Category, ...] = ("prose", "code", "multilingual", "numbers", "whitespace")

PICTURE = "Tokenizers disagree: naïve café, 12345 + 67.89,\n\tfor i in range(10): 東京タワー 👩🏽‍🚀 Привет!"
"""A line that shows where two tokenizers differ."""


def bundled() -> dict[str, str]:
    """The text of every category."""
    folder = files("anydraft.doctor") / "samples"
    return {name: (folder / f"{name}.txt").read_bytes().decode() for name in CATEGORIES}


def from_files(paths: Iterable[Path]) -> dict[str, str]:
    """The user's own texts, each named after its file.

    Raises:
        ModelFileError: a file that cannot be read as UTF-8.
        ArgumentError: a file without text.
    """
    texts: dict[str, str] = {}
    for path in paths:
        try:
            text = existing(path, A_TEXT).read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(f"got the text {path}, which is no readable UTF-8 file: {error}") from error
        if not text:
            raise ArgumentError(f"got the text {path}, which is empty; expected some text to weigh tokens by")
        own = escaped(path.name)
        name, number = own, 2
        while name in texts:
            name, number = f"{own} ({number})", number + 1
        texts[name] = text
    return texts
