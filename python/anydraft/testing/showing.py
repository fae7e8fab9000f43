"""Bytes as a person reads them: hex beside text in which nothing is invisible, and where two differ."""

from __future__ import annotations

import unicodedata

_AROUND = 12
"""How many bytes are shown on each side of a difference in something long."""


def visible(data: bytes | str) -> str:
    """Text in quotes; spaces stay, everything else that cannot be seen, or is no text, is escaped."""
    if isinstance(data, str):
        return '"' + "".join(map(_char, data)) + '"'
    return '"' + "".join(map(_char_or_byte, data.decode("utf-8", "surrogateescape"))) + '"'


def _char_or_byte(char: str) -> str:
    byte = ord(char) - 0xDC00  # how surrogateescape keeps a byte that is no text
    return f"\\x{byte:02x}" if 0x80 <= byte < 0x100 else _char(char)


def _char(char: str) -> str:
    code = ord(char)
    if char in '"\\':
        return "\\" + char
    if char == " " or (char != "\ufffd" and char.isprintable() and unicodedata.category(char)[0] != "M"):
        return char
    if code < 0x80:
        return char.encode("unicode_escape").decode()
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def hexed(data: bytes) -> str:
    """Bytes as pairs of hex digits."""
    return data.hex(" ")


def first_difference(left: bytes, right: bytes) -> int:
    """The offset of the first byte that differs; the shorter length if one begins with the other."""
    at, end = 0, min(len(left), len(right))
    while at < end and left[at] == right[at]:
        at += 1
    return at


def shown(data: bytes, at: int | None = None) -> str:
    """Hex and text of bytes on one line, of something long only what is around ``at``, or the start."""
    if len(data) <= 2 * _AROUND:
        return f"{hexed(data)}  {visible(data)}" if data else "nothing"
    start = max(0, min(at or 0, len(data)) - _AROUND)
    end = min(len(data), start + 2 * _AROUND)
    before, after = "… " if start else "", " …" if end < len(data) else ""
    part = data[start:end]
    return f"{before}{hexed(part)}{after}  {visible(part)}  (bytes {start} to {end} of {len(data)})"
