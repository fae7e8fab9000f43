"""What real tokenizers are known to do to a text, each a rewriting that keeps tests away from it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from anydraft._core import Tokenizer

Rewrite: TypeAlias = Callable[[str, "Tokenizer | None"], str]


@dataclass(frozen=True)
class Allowance:
    """Something known that a tokenizer does, and is not reported where it is allowed."""

    name: str
    statement: str
    rewrite: Rewrite
    """The text, and the tokenizer as anydraft reads it, to the nearest text that it does not happen to."""


def _dropped(text: str, core: Tokenizer | None) -> str:
    if core is None or not core.missing_bytes:
        return text
    missing = set(core.missing_bytes)
    return "".join(c for c in text if not missing & set(c.encode()) or core.find(c.encode()) is not None)


def replaced_surrogates(text: str) -> str:
    """Pairs of surrogates joined, lone ones as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


ALLOWANCES: dict[str, Allowance] = {
    made.name: made
    for made in (
        Allowance(
            "space-mark",
            "U+2581 (▁), with which SentencePiece writes a space, is read as a space",
            lambda text, _: text.replace("▁", "_"),
        ),
        Allowance(
            "leading-space",
            "a space at the start of a text is lost, because the tokenizer puts one there itself",
            lambda text, _: text.lstrip(" "),
        ),
        Allowance("dropped-characters", "characters with a byte that has no token are dropped", _dropped),
        Allowance(
            "replaced-surrogates",
            "lone surrogates are not refused but replaced by U+FFFD",
            lambda text, _: re.sub("[\ud800-\udfff]+", lambda m: replaced_surrogates(m[0]), text),
        ),
        Allowance(
            "held-back-end",
            "a streaming decoder keeps a U+FFFD at the end to itself, as if a character were not finished",
            lambda text, _: text.rstrip("\ufffd"),
        ),
        Allowance(
            "nfc", "text is brought to normal form C", lambda text, _: unicodedata.normalize("NFC", text)
        ),
        Allowance(
            "nfkc", "text is brought to normal form KC", lambda text, _: unicodedata.normalize("NFKC", text)
        ),
    )
}
"""All of them, by name."""


def kept_away(text: str, allowed: frozenset[str], core: Tokenizer | None) -> str:
    """The text rewritten by every allowance that is named, until nothing changes."""
    for _ in range(4):  # one rewriting may uncover work for another
        before = text
        for name in ALLOWANCES:
            text = ALLOWANCES[name].rewrite(text, core) if name in allowed else text
        if text == before:
            break
    return text
