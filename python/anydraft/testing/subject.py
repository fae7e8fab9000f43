"""A tokenizer under test: what the laws ask of one, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from anydraft._core import Tokenizer
from anydraft.errors import ArgumentError
from anydraft.testing.adapters import adapt
from anydraft.testing.allowances import ALLOWANCES
from anydraft.testing.violation import Finding, FoundError, Given

Splice: TypeAlias = tuple[int, list[int]]
"""Keep the first ids, then append these."""


class PlainTokenizer(Protocol):
    """The least that can be tested: an implementation of your own.

    What it may have besides is found by name: ``token_bytes(id) -> bytes``, ``detokenizer()`` that makes a
    :class:`Detokenizing`, ``retokenizer()`` that makes a :class:`Retokenizing`, ``special_tokens`` (a mapping
    from the content of each control token to its id) and ``__len__``, the number of ids.
    """

    def encode(self, text: str, /) -> Sequence[int]:
        """The ids of a text, without control tokens."""

    def decode(self, ids: list[int], /) -> str:
        """The text of ids."""


class Detokenizing(Protocol):
    """Ids to text, piece by piece, as :class:`anydraft.Detokenizer`."""

    def push(self, ids: list[int], /) -> str:
        """Append ids; the text that became complete."""

    def truncate(self, length: int, /) -> None:
        """Keep the first ``length`` ids."""

    def finish(self) -> str:
        """The rest, with U+FFFD for what never became a character."""


class Retokenizing(Protocol):
    """Text to ids, piece by piece, as :class:`anydraft.Retokenizer`."""

    def push(self, text: bytes, /) -> Splice:
        """Append bytes; the change of the ids."""

    def truncate(self, length: int, /) -> Splice:
        """Keep the first ``length`` bytes; the change of the ids."""

    def ids(self) -> list[int]:
        """The ids of the text so far."""


@dataclass(frozen=True)
class Subject:
    """A tokenizer under test, as functions. Made with :meth:`of`; ``dataclasses.replace`` plants faults.

    A law that needs what is ``None`` here is skipped, and says why.
    """

    name: str
    encode: Callable[[str], Sequence[int]]
    """The ids of a text by the tokenizer's own library: no control tokens, look-alikes of them are text."""
    decode: Callable[[list[int]], str]
    """The text of ids by the tokenizer's own library, control tokens not skipped."""
    core: Tokenizer | None = None
    """The same tokenizer as anydraft reads it."""
    token_bytes: Callable[[int], bytes] | None = None
    """The bytes of a token; none for control tokens. anydraft's table, or the tokenizer's own."""
    encode_bytes: Callable[[bytes], list[int] | None] | None = None
    """The ids of any bytes; ``None`` if a byte has no token."""
    detokenizer: Callable[[], Detokenizing] | None = None
    retokenizer: Callable[[], Retokenizing] | None = None
    stream: Callable[[], Callable[[int], str]] | None = None
    """The own library's streaming decoder: a function that takes one id and gives the text it completed."""
    special_tokens: Mapping[str, int] | None = None
    """Control tokens: content to id."""
    look_alikes: tuple[str, ...] = ()
    """Plain text to try because the tokenizer may have something to do with it: what its added tokens say."""
    size: int | None = None
    """Number of ids."""
    lacks: str = "the tokenizer does not offer it"
    """Why what is ``None`` is."""
    allowed: frozenset[str] = field(default=frozenset())
    """Names of what is known of this tokenizer and left out of the tests; see :data:`ALLOWANCES`."""

    @classmethod
    def of(cls, tokenizer: Any, *, reading: Any = None, name: str | None = None) -> Subject:
        """From a tokenizer of transformers, tokenizers or tiktoken, a path, or a :class:`PlainTokenizer`.

        The tokenizer itself is not changed: what has to be set is set on a copy. ``reading`` is where a
        tokenizer of your own has its tokens from (anything that ``anydraft.Bridge`` takes): then it is
        compared with that, byte for byte. ``name`` is for messages.

        Raises:
            ArgumentError: an object that has neither ``encode`` nor ``decode``.
            ModelFileError: a path where no tokenizer can be read.
            TokenizerError: ``reading`` cannot be expressed in bytes.
        """
        made = tokenizer if isinstance(tokenizer, Subject) else cls(**adapt(tokenizer, reading))
        return made if name is None else replace(made, name=name)

    def allow(self, *names: str) -> Subject:
        """The same with texts kept away from what is known of this tokenizer.

        Raises:
            ArgumentError: a name that is not in :data:`ALLOWANCES`.
        """
        unknown = sorted(set(names) - set(ALLOWANCES))
        if unknown:
            raise ArgumentError(f"got the allowances {unknown}; expected some of {', '.join(ALLOWANCES)}")
        return replace(self, allowed=self.allowed | set(names))

    def ids(self, text: str) -> list[int]:
        """The own library's ids of a text; what it raises is a finding."""
        return list(guarded("encode", {"text": text}, lambda: self.encode(text)))

    def text(self, ids: list[int]) -> str:
        """The own library's text of ids; what it raises is a finding."""
        said: str = guarded("decode", {"ids": ids}, lambda: self.decode(list(ids)))
        return said

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        """The bytes of ids, one after the other; what the table raises is a finding."""
        assert self.token_bytes is not None
        table = self.token_bytes
        data: bytes = guarded("token_bytes", {"ids": list(ids)}, lambda: b"".join(table(i) for i in ids))
        return data

    @property
    def cores(self) -> tuple[Tokenizer | None, ...]:
        """``core``, as of a pair both are."""
        return (self.core,)

    @property
    def dummy_prefix(self) -> bool:
        """Whether a space before the first word is the tokenizer's own."""
        return self.core is not None and self.core.dummy_prefix


def guarded(what: str, given: dict[str, Given], call: Callable[[], Any]) -> Any:
    """The result of a call of the tokenizer under test; whatever it raises, panics too, becomes a finding."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit, FoundError):
        raise
    except BaseException as error:  # a panic of a Rust extension is no Exception
        name = type(error).__name__
        raise FoundError(Finding(f"{what} raised {name}: {error}", given)) from error
