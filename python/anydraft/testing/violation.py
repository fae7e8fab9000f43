"""A law that does not hold, explained in bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from anydraft.bridge.common import common_prefix
from anydraft.errors import AnydraftError
from anydraft.testing.showing import first_difference, hexed, shown, visible

Given: TypeAlias = str | bytes | int | list[int]

_MOST_TOKENS = 24
"""How many tokens of a list are explained; more are counted."""


@dataclass(frozen=True)
class Ids:
    """Ids of one side, each with its bytes where they are known."""

    label: str
    ids: list[int]
    pieces: list[bytes | None]

    @classmethod
    def of(cls, label: str, ids: Sequence[int], token_bytes: Callable[[int], bytes] | None) -> Ids:
        """Look the bytes up; ids that ``token_bytes`` refuses have none."""
        return cls(label, list(ids), [_bytes(i, token_bytes) for i in ids])

    def lines(self, at: int = 0) -> list[str]:
        """One token a line, with where its bytes start; long lists only around the token ``at``."""
        start = max(0, at - _MOST_TOKENS // 2) if len(self.ids) > _MOST_TOKENS else 0
        end, offset = start + _MOST_TOKENS, sum(len(piece or b"") for piece in self.pieces[:start])
        lines = [f"{self.label} ({len(self.ids)}){':' if self.ids else ': none'}"]
        for i, piece in list(zip(self.ids, self.pieces, strict=True))[start:end]:
            what = "no bytes" if not piece else f"{hexed(piece)}  {visible(piece)}"
            lines.append(f"  {i:>7}  at {offset:<4} {what}")
            offset += len(piece or b"")
        if len(self.ids) > end - start:
            lines.append(f"  … tokens {start} to {min(end, len(self.ids))} of {len(self.ids)}")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "label": self.label,
            "tokens": [
                {"id": i} if piece is None else {"id": i, **_written(piece)}
                for i, piece in zip(self.ids, self.pieces, strict=True)
            ],
        }


@dataclass(frozen=True)
class Finding:
    """What was seen when a law was broken."""

    what: str
    """One sentence."""
    given: dict[str, Given] = field(default_factory=dict)
    """What was given to the tokenizer, in order."""
    expected: bytes | None = None
    got: bytes | None = None
    ids: list[Ids] = field(default_factory=list)

    @property
    def at(self) -> int | None:
        """The first byte that differs; ``None`` if bytes are not what differs."""
        if self.expected is None or self.got is None or self.expected == self.got:
            return None
        return first_difference(self.expected, self.got)

    def lines(self) -> list[str]:
        """The explanation, line by line."""
        lines = [self.what]
        for label, value in self.given.items():
            lines.append(f"{label:<10} {_given(value)}")
        if self.expected is not None and self.got is not None:
            lines += [f"expected   {shown(self.expected, self.at)}", f"got        {shown(self.got, self.at)}"]
        if self.at is not None:
            sides = [("expected", self.expected or b""), ("got", self.got or b"")]
            here = ", ".join(f"{name} {_byte(data, self.at)}" for name, data in sides)
            lines.append(f"differs    at byte {self.at}: {here}")
        lists = [side.ids for side in self.ids]
        token = common_prefix(lists[0], lists[1]) if len(lists) == 2 else 0
        for side in self.ids:
            lines += side.lines(token)
        return lines

    def as_dict(self) -> dict[str, Any]:
        """For JSON: bytes as hex and as text."""
        return {
            "what": self.what,
            "given": {label: _as_json(value) for label, value in self.given.items()},
            "expected": None if self.expected is None else _written(self.expected),
            "got": None if self.got is None else _written(self.got),
            "differs_at_byte": self.at,
            "ids": [side.as_dict() for side in self.ids],
        }


class LawBrokenError(AnydraftError, AssertionError):
    """A tokenizer breaks a law. The message is the whole explanation."""

    def __init__(self, law: str, statement: str, tokenizer: str, finding: Finding, hint: str = "") -> None:
        """``hint``: what else there is to say, below the explanation."""
        self.law, self.statement, self.tokenizer, self.finding, self.hint = (
            law, statement, tokenizer, finding, hint,
        )  # fmt: skip
        lines = [
            f"{tokenizer} breaks the law {law}: {statement}",
            *finding.lines(),
            *([hint] if hint else []),
        ]
        super().__init__("\n".join(lines))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"tokenizer": self.tokenizer, **self.finding.as_dict(), "hint": self.hint or None}


class LawsBrokenError(AnydraftError, AssertionError):
    """Several laws that a tokenizer breaks. The message explains each."""

    def __init__(self, violations: list[LawBrokenError]) -> None:
        """``violations``: at least one."""
        self.violations = violations
        super().__init__("\n\n".join(str(violation) for violation in violations))


class FoundError(AssertionError):
    """Raised where a law is checked; the runner says which law, of which tokenizer."""

    def __init__(self, finding: Finding) -> None:
        """``finding``: what was seen."""
        self.finding = finding
        super().__init__(finding.what)


def _bytes(i: int, token_bytes: Callable[[int], bytes] | None) -> bytes | None:
    if token_bytes is None:
        return None
    try:
        return token_bytes(i)
    except Exception:  # the tokenizer under test may be of any kind, and an id out of its range is a finding
        return None


def _given(value: Given) -> str:
    if isinstance(value, str):
        return shown(value.encode("utf-8", "surrogatepass")) if _sound(value) else visible(value)
    return shown(value) if isinstance(value, bytes) else str(value)


def _sound(text: str) -> bool:
    return not any(0xD800 <= ord(char) < 0xE000 for char in text)


def _byte(data: bytes, at: int) -> str:
    return f"{data[at]:02x}" if at < len(data) else "the end"


def _written(data: bytes) -> dict[str, str]:
    return {"hex": data.hex(), "text": visible(data)[1:-1]}


def _as_json(value: Given) -> Any:
    if isinstance(value, str):
        return _written(value.encode()) if _sound(value) else {"hex": None, "text": visible(value)[1:-1]}
    return _written(value) if isinstance(value, bytes) else value
