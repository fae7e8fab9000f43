"""What is asked of the tokenizers of other libraries, which are not imported for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, TypeAlias

from anydraft import _core


class TransformersTokenizer(Protocol):
    """A tokenizer of transformers."""

    def __call__(self, text: str, /, *, verbose: bool) -> Mapping[str, Any]:
        """``"input_ids"``, and more that is not looked at."""

    def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], /, **options: Any) -> Any:
        """A chat as text, or as ids."""


class Backend(Protocol):
    """A ``tokenizers.Tokenizer``."""

    @property
    def truncation(self) -> Mapping[str, Any] | None:
        """Arguments of :meth:`enable_truncation`, if texts are cut."""

    @property
    def padding(self) -> Mapping[str, Any] | None:
        """Arguments of :meth:`enable_padding`, if texts are filled up."""

    def enable_truncation(self, **given: Any) -> None:
        """Cut texts."""

    def enable_padding(self, **given: Any) -> None:
        """Fill texts up."""

    def no_truncation(self) -> None:
        """Do not cut texts."""

    def no_padding(self) -> None:
        """Do not fill texts up."""

    def encode(self, text: str, /) -> Any:
        """An encoding, with its ``ids``."""

    def to_str(self) -> str:
        """Its JSON."""


class TiktokenEncoding(Protocol):
    """A ``tiktoken.Encoding``, which keeps to itself what it is made of."""

    _mergeable_ranks: dict[bytes, int]
    _special_tokens: dict[str, int]
    _pat_str: str

    def encode(self, text: str, /, *, allowed_special: Any) -> list[int]:
        """The ids of a text."""


AnyTokenizer: TypeAlias = "TransformersTokenizer | Backend | TiktokenEncoding"
"""What a user has for a model: a fast tokenizer of transformers, or what is inside one."""

TokenizerOrFile: TypeAlias = "AnyTokenizer | _core.Tokenizer | str | PathLike[str]"
"""The same, one that was read before, or the path of a ``tokenizer.json`` or of a folder with one."""
