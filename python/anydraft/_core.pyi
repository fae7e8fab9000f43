"""The border between Python and the Rust core.

Ids cross as lists of ints, bytes as ``bytes``, tables as int64 arrays that Python owns. A splice is
``(keep, append)``: keep the first ``keep`` ids, then append these.
"""

from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bridge",
    "Detokenizer",
    "Memory",
    "Retokenizer",
    "Session",
    "Text",
    "Tokenizer",
    "__version__",
    "common_boundaries",
    "fingerprint",
    "tiktoken_fingerprint",
]

_Bytes: TypeAlias = bytes  # inside a class with a method `bytes` the name means the method

__version__: str

@final
class Tokenizer:
    """A tokenizer as bytes: every token stands for raw bytes, control tokens for none. Immutable."""

    @staticmethod
    def from_json(json: str, rows: int | None = None) -> Tokenizer:
        """Read a ``tokenizer.json``, without added tokens from id ``rows`` on.

        Raises ``TokenizerError`` if it cannot be expressed in bytes.
        """

    @staticmethod
    def from_tiktoken(
        ranks: list[tuple[_Bytes, int]], specials: list[tuple[str, int]], pattern: str
    ) -> Tokenizer:
        """From tiktoken's parts. Raises ``TokenizerError`` for a pattern that cannot be carried over."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal tokenizers; padding, truncation and post-processing do not count."""

    @property
    def string_lossy(self) -> bool:
        """Whether a Unicode normal form was dropped: text is then encoded as it is, byte for byte."""

    @property
    def missing_bytes(self) -> _Bytes:
        """Bytes of UTF-8 without a token of their own; characters that need one cannot be encoded."""

    @property
    def surface(self) -> str:
        """``"byte-level"`` or ``"sentencepiece"``."""

    @property
    def dummy_prefix(self) -> bool:
        """Whether the tokenizer puts a space before the first word of a text."""

    @property
    def special_tokens(self) -> dict[int, str]:
        """Control tokens by id."""

    def __len__(self) -> int:
        """Number of ids, gaps included."""

    def bytes(self, token_id: int) -> _Bytes:
        """The bytes of a token; empty for control tokens and unused ids."""

    def kind(self, token_id: int) -> str:
        """``"text"``, ``"added"``, ``"byte"``, ``"special"`` or ``"unused"``."""

    def find(self, data: _Bytes) -> int | None:
        """The canonical token with exactly these bytes."""

    def encode(self, text: _Bytes) -> list[int] | None:
        """The ids of any bytes; ``None`` if a byte has no token. Never gives control tokens."""

    def decode(self, ids: list[int]) -> _Bytes:
        """The bytes of the ids."""

def fingerprint(json: str) -> str:
    """The fingerprint that a tokenizer read from this JSON has."""

def tiktoken_fingerprint(
    ranks: list[tuple[bytes, int]], specials: list[tuple[str, int]], pattern: str
) -> str:
    """The fingerprint that a tokenizer made of these parts has."""

@final
class Bridge:
    """A pair of tokenizers with the tables between them. Immutable; threads may share it."""

    def __new__(
        cls,
        target: Tokenizer,
        draft: Tokenizer,
        to_target: list[tuple[int, int]],
        to_draft: list[tuple[int, int]],
    ) -> Bridge:
        """``to_target``: control tokens (draft id, target id); ``to_draft``: (target id, draft id)."""

    def draft_to_target(self) -> NDArray[np.int64]:
        """``[D]``: target ids, -1 where there is none."""

    def target_to_draft(self) -> NDArray[np.int64]:
        """``[T]``: draft ids, -1 where there is none."""

    def expansion(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Offsets ``[D + 1]`` and ids of the target tokens of every draft token."""

    def spelling(self) -> list[NDArray[np.int64]]:
        """class_of, merge_keys, merge_ids, crossing, rest_offsets, rest_ids: see ``tables.ClassArrays``."""

    def pairs(self) -> list[tuple[int, int]]:
        """All (target id, draft id) with equal bytes."""

    def coverage(self) -> tuple[int, int, int, int, int]:
        """Shared byte strings, target tokens, draft tokens, shared target tokens, shared draft tokens."""

    def shared_usage(self, target_ids: list[int], draft_ids: list[int]) -> tuple[int, int]:
        """How many of the target's and of the draft's ids the other side has as one token."""

@final
class Session:
    """One sequence decoded with a bridge. It has one owner."""

    def __new__(cls, bridge: Bridge, view: list[int], prompt: list[int]) -> Session:
        """``view``: the draft's rendering of what comes first; ``prompt``: target ids after it."""

    def __len__(self) -> int:
        """Number of committed target ids, the prompt included."""

    def view(self) -> list[int]:
        """The draft's view, without what it drafted."""

    def bytes(self) -> _Bytes:
        """The bytes of all committed ids."""

    def propose(self, ids: list[int]) -> list[int]:
        """The target's own encoding of what the draft drew after its view."""

    def branches(
        self, steps: list[list[tuple[int, float]]], line: list[int], *, more: int, least: float, depth: int
    ) -> tuple[list[int], list[int], float]:
        """Target ids to be verified beside a line, and of each which place is before it.

        And the sum of their chances. ``steps``: of every draft token that was drawn its id, then others that
        might stand there, each with its chance. What was drawn up to a step, and one of these, is a text; of
        all places that the target's encodings of these texts have beside ``line``, the ``more`` likeliest are
        taken, none less likely than ``least`` or deeper than ``depth``. Place 0 is the committed text, place
        ``i`` the ``i``-th id from 1: the line, then these.
        """

    def commit(self, ids: list[int], drafted: list[int]) -> tuple[str, _Bytes, int, list[int]]:
        """Append target ids; ``drafted``: what the draft drew after its view.

        The text that became complete, the bytes of ``ids``, and the splice (ids kept, ids appended) from what
        the draft was shown and drew to its new view.
        """

    def finish(self) -> str:
        """The text of an unfinished code point at the very end."""

@final
class Detokenizer:
    """Ids to text, piece by piece."""

    def __new__(cls, tokenizer: Tokenizer) -> Detokenizer:
        """An empty sequence."""

    def __len__(self) -> int:
        """Number of ids."""

    def bytes(self) -> _Bytes:
        """All bytes so far."""

    def pending(self) -> _Bytes:
        """The unfinished code point at the end."""

    def push(self, ids: list[int]) -> str:
        """Append ids; the text that became complete."""

    def truncate(self, length: int) -> None:
        """Keep the first ``length`` ids; text goes on from the last whole character that is left."""

    def finish(self) -> str:
        """The rest, with U+FFFD for what never became a code point."""

@final
class Retokenizer:
    """Text to ids, piece by piece: always the ids of the whole text."""

    def __new__(cls, tokenizer: Tokenizer) -> Retokenizer:
        """An empty text."""

    def text(self) -> _Bytes:
        """The text."""

    def ids(self) -> list[int]:
        """Its ids."""

    def ends(self) -> list[int]:
        """Where each token ends, in bytes."""

    def push(self, text: _Bytes) -> tuple[int, list[int]]:
        """Append bytes; the splice of the ids."""

    def truncate(self, length: int) -> tuple[int, list[int]]:
        """Keep the first ``length`` bytes; the splice of the ids."""

@final
class Memory:
    """Texts that were seen, by what came before every byte of them. Threads may share it.

    It takes 7 bytes for each byte of text when it is full, up to twice so before.
    """

    def __new__(cls, most: int) -> Memory:
        """An empty one that keeps ``most`` bytes of text, from 16 to 2^30."""

    def __len__(self) -> int:
        """Number of documents."""

    def size(self) -> int:
        """Bytes of text."""

    def allocated(self) -> int:
        """Bytes of this process's memory that it takes."""

    def add(self, text: bytes) -> None:
        """Remember a text as a document; beginnings that are there already are not kept twice."""

    def decodes(self) -> int:
        """How many decodes have a number."""

    def number_decode(self) -> int:
        """A number that no other decode with this memory has: from 1 on."""

    def restore(self, decodes: int, documents: list[bytes]) -> None:
        """Remember documents as they are, after what is there; ``decodes``: how many had a number before."""

    def documents(self) -> list[bytes]:
        """All documents, the oldest first, without what is forgotten of the first."""

    def clear(self) -> None:
        """Forget everything."""

@final
class Text:
    """The text of one sequence, which is looked up in itself and in a memory. It has one owner."""

    def __new__(cls, data: bytes) -> Text:
        """Start with ``data``."""

    def __len__(self) -> int:
        """Bytes of text."""

    def push(self, data: bytes) -> None:
        """Append bytes."""

    def continuations(
        self, wanted: int, most: int, memory: Memory | None = None
    ) -> list[tuple[bytes, int, int]]:
        """How the text may go on for ``wanted`` bytes, by where it read the same before: at most ``most``.

        The bytes, the length of the match and the number of places of each, the likeliest first: those of the
        longest match, of equal ones those of the text itself, of these what followed last, and then what
        followed in more places. Past the end of the text the run repeats itself; in the memory
        a continuation ends with its document, and one that another begins with is counted with that one.
        """

def common_boundaries(left: list[int], right: list[int]) -> list[tuple[int, int, int]]:
    """Common token ends of two segmentations: (byte offset, tokens on the left, tokens on the right)."""
