"""The text of a row whose draft's tokenizer has failed: a session of the core without its draft."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class TextOnlySession:
    """Target ids to text, piece by piece; nothing is proposed."""

    def __init__(self, before: list[int], decode: Callable[[list[int]], bytes]) -> None:
        """``before``: the ids so far; ``decode``: ids to bytes."""
        self._decode = decode
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._text.decode(decode(before))

    def propose(self, draft_ids: list[int]) -> list[int]:
        """See :class:`anydraft.decoding.protocols.Session`."""
        return []

    def branches(
        self, steps: list[list[tuple[int, float]]], line: list[int], *, more: int, least: float, depth: int
    ) -> tuple[list[int], list[int], float]:
        """See :class:`anydraft.decoding.protocols.Session`."""
        return [], [], 0.0

    def commit(self, ids: list[int], drafted: list[int], /) -> tuple[str, bytes, int, list[int]]:
        """See :class:`anydraft.decoding.protocols.Session`."""
        data = self._decode(ids)
        return self._text.decode(data), data, 0, []

    def finish(self) -> str:
        """See :class:`anydraft.decoding.protocols.Session`."""
        return self._text.decode(b"", final=True)
