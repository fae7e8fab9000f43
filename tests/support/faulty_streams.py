"""Streams and sessions with one fault each, to be put in the place of sound ones."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import anydraft
import small
from anydraft.testing import SubjectPair


class OffByOne:
    """A detokenizer that keeps one id too many."""

    def __init__(self, core: anydraft.Tokenizer) -> None:
        self._inner = anydraft.Detokenizer(core)

    def push(self, ids: list[int]) -> str:
        return self._inner.push(ids)

    def truncate(self, length: int) -> None:
        self._inner.truncate(length + 1)

    def finish(self) -> str:
        return self._inner.finish()


class Hasty:
    """A detokenizer that decodes every push by itself: a split character comes out as U+FFFD."""

    def __init__(self, core: anydraft.Tokenizer) -> None:
        self._core = core

    def push(self, ids: list[int]) -> str:
        return self._core.decode(ids).decode(errors="replace")

    def truncate(self, length: int) -> None:
        pass

    def finish(self) -> str:
        return ""


class Forgetful:
    """A retokenizer that never looks back into digits it has encoded."""

    def __init__(self, core: anydraft.Tokenizer) -> None:
        self._core, self._text, self._ids = core, b"", list[int]()

    def push(self, text: bytes) -> tuple[int, list[int]]:
        if self._text[-1:].isdigit() and text[:1].isdigit():
            self._text += text
            return len(self._ids), self._become(self._ids + (self._core.encode(text) or []), len(self._ids))
        return self._again(self._text + text)

    def truncate(self, length: int) -> tuple[int, list[int]]:
        return self._again(self._text[:length])

    def ids(self) -> list[int]:
        return self._ids

    def _again(self, text: bytes) -> tuple[int, list[int]]:
        self._text, ids = text, self._core.encode(text) or []
        keep = sum(
            1 for _ in itertools.takewhile(lambda ab: ab[0] == ab[1], zip(self._ids, ids, strict=False))
        )
        return keep, self._become(ids, keep)

    def _become(self, ids: list[int], keep: int) -> list[int]:
        self._ids = ids
        return ids[keep:]


class Anew:
    """A retokenizer whose splices always start at nothing."""

    def __init__(self, core: anydraft.Tokenizer) -> None:
        self._inner = anydraft.Retokenizer(core)

    def push(self, text: bytes) -> tuple[int, list[int]]:
        self._inner.push(text)
        return 0, self._inner.ids()

    def truncate(self, length: int) -> tuple[int, list[int]]:
        self._inner.truncate(length)
        return 0, self._inner.ids()

    def ids(self) -> list[int]:
        return self._inner.ids()


class Longer(Anew):
    """A retokenizer that keeps one byte too many when text is taken back."""

    def push(self, text: bytes) -> tuple[int, list[int]]:
        return self._inner.push(text)

    def truncate(self, length: int) -> tuple[int, list[int]]:
        return self._inner.truncate(length + 1)


@cache
def pair() -> SubjectPair:
    """A byte-fallback target with a byte-level draft, without a fault."""
    return SubjectPair.of(small.byte_fallback(), small.byte_level()).allow("space-mark", "held-back-end")


class _Sequence:
    """A session that can be changed in one place."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class KeepsOneLess(_Sequence):
    def commit(self, ids: list[int], drafted: list[int]) -> tuple[str, bytes, int, list[int]]:
        text, data, keep, append = self._inner.commit(ids, drafted)
        view = self._inner.view()
        return text, data, max(keep - 1, 0), [*view[max(keep - 1, 0) : keep], *append]


class SaysOtherBytes(_Sequence):
    def commit(self, ids: list[int], drafted: list[int]) -> tuple[str, bytes, int, list[int]]:
        text, data, keep, append = self._inner.commit(ids, drafted)
        return text, data[1:], keep, append


class ProposesAll(_Sequence):
    """Proposes also the unfinished character at the end."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)

    def propose(self, ids: list[int]) -> list[int]:
        return pair().target.encode_bytes(pair().draft.bytes_of(ids)) or []


def session(kind: type[_Sequence]) -> SubjectPair:
    return replace(pair(), session=lambda: kind(pair().session()))
