"""Text and ids as bytes."""

from __future__ import annotations

from collections.abc import Callable

from anydraft import _core
from anydraft.errors import ArgumentError


def utf8(text: str, what: str) -> bytes:
    """The UTF-8 of a text; ``what`` names it in a message.

    Raises:
        ArgumentError: it has half of a surrogate pair, which no encoding writes.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"got {what} with a lone surrogate, {text[error.start]!a} at character {error.start}; expected "
            "text that UTF-8 can write. It comes from cutting UTF-16, or from bytes that are not UTF-8. "
            "Repair it, for instance with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from None


def written_out(tokenizer: _core.Tokenizer) -> Callable[[list[int]], bytes]:
    """Ids to bytes by a tokenizer, control tokens as they are written in its vocabulary."""
    control = {i: content.encode() for i, content in tokenizer.special_tokens.items()}

    def decode(ids: list[int]) -> bytes:
        if control.keys().isdisjoint(ids):
            return tokenizer.decode(ids)
        return b"".join(control.get(i) or tokenizer.decode([i]) for i in ids)

    return decode
