"""The kinds of the pieces of a SentencePiece file, as its bytes have them: its package does not tell all."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

_PIECES, _KIND = 1, 3
"""Fields of ``ModelProto`` and of its ``SentencePiece``."""
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
"""Types of protobuf's wire format."""


class Kind(IntEnum):
    """``ModelProto.SentencePiece.Type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    """Cut out of a text wherever it stands, before anything is merged."""
    UNUSED = 5
    """Merged like others, then taken apart again."""
    BYTE = 6


def piece_kinds(content: bytes) -> list[Kind]:
    """Of every id of a ``.model`` file that its package has read.

    Raises:
        ValueError: bytes that are no such file.
    """
    return [
        _kind(piece) for field, piece in _fields(content) if field == _PIECES and isinstance(piece, bytes)
    ]


def _kind(piece: bytes) -> Kind:
    told = [value for field, value in _fields(piece) if field == _KIND and isinstance(value, int)]
    return Kind(told[-1]) if told else Kind.NORMAL


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        value: int | bytes = 0
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        elif kind == _BYTES:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"it has a field of the unknown type {kind}")
        yield key >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
    raise ValueError("it ends within a number")
