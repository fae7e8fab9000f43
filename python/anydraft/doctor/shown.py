"""Bytes and text as a reader can see them: control characters, spaces and broken code points made visible."""

from __future__ import annotations

import unicodedata

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡", 0x20: "␣"}
_PICTURES |= {0x0A: "⏎", 0x09: "⇥"}
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
_JOINERS = "\u200c\u200d"


def visible(data: bytes) -> str:
    """Bytes as text: spaces as ``␣``, line ends as ``⏎``, other invisible characters as ``<U+…>``.

    Bytes that are no UTF-8 are ``<XX>``. A joiner between two visible characters stays, so that an emoji
    made of several is drawn as one.
    """
    shown: list[str] = []
    text = data.decode(errors="surrogateescape")
    for i, char in enumerate(text):
        joins = char in _JOINERS and 0 < i < len(text) - 1
        shown.append(char if joins else _visible_char(char, first=i == 0))
    return "".join(shown)


def _visible_char(char: str, *, first: bool) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"<{code - 0xDC00:02X}>"
    if code in _PICTURES:
        return _PICTURES[code]
    if unicodedata.category(char) in _HIDDEN:
        return f"<U+{code:04X}>"
    if first and 0xFE00 <= code <= 0xFE0F:  # a variation selector without the character that it varies
        return f"<U+{code:04X}>"
    if first and unicodedata.category(char).startswith("M"):
        return "◌" + char
    return char
