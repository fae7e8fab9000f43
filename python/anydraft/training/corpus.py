"""Files of the user as text: what they hold, and where a continuation of them may begin."""

from __future__ import annotations

import lzma
import random
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from anydraft.errors import ArgumentError

SUFFIXES = (".py", ".pyi", ".txt", ".md", ".rst")
"""What is read in folders and archives; a file that is named is read whatever its name."""

LARGEST = 200_000
"""Longer files are data more often than text."""

BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError),
)
"""What archives raise that are damaged, encrypted or packed in a way that is not known."""

PREFIX = (60, 360)
"""Shortest and longest beginning of a text that the target is asked to continue, in characters."""


def read(paths: Sequence[str | Path]) -> list[str]:
    """The texts of files, of folders, and of archives (``.whl``, ``.zip``, ``.tar.gz``), in a fixed order.

    Raises:
        ArgumentError: nothing at a path, no text in it, or an archive that cannot be read.
    """
    found: dict[str, None] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise ArgumentError(f"got {path}, where there is nothing; expected files, folders or archives")
        try:
            texts = [text for text in _texts(path) if len(text) >= PREFIX[0]]
        except BROKEN as error:
            raise ArgumentError(f"got {path}, an archive that cannot be read: {error}") from error
        if not texts:
            raise ArgumentError(
                f"got {path}, without text to learn from; expected a file of UTF-8 text of at least "
                f"{PREFIX[0]} characters, or a folder or an archive of {' '.join(SUFFIXES)} files"
            )
        found.update(dict.fromkeys(texts))
    return list(found)


def prefixes(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """``count`` beginnings of paragraphs, from random texts, that end with a word."""
    order = random.Random(seed)
    found = []
    for _ in range(count if texts else 0):
        text = order.choice(texts)
        start = text.find("\n\n", order.randrange(len(text))) + 2  # from the first character if none follows
        piece = text[start if start > 1 else 0 :].lstrip("\n")[: order.randint(*PREFIX)]
        piece = piece[: max(piece.rfind(" "), piece.rfind("\n"))].rstrip(" ")
        if len(piece) >= PREFIX[0] // 2:
            found.append(piece)
    return found


def _texts(path: Path) -> Iterator[str]:
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file()):
            yield from _text(file.read_bytes())
    elif path.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(SUFFIXES):
                    yield from _text(archive.read(name))
    elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
        with tarfile.open(path) as tar:
            for member in sorted(tar.getmembers(), key=lambda member: member.name):
                content = (
                    tar.extractfile(member) if member.isfile() and member.name.endswith(SUFFIXES) else None
                )
                if content is not None:
                    yield from _text(content.read())
    else:
        yield from _text(path.read_bytes(), largest=1 << 30)


def _text(raw: bytes, largest: int = LARGEST) -> Iterator[str]:
    if len(raw) <= largest:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return
        if "\0" not in text:  # as in UTF-16
            yield text
