"""The exception tree: every error of anydraft, each also the built-in it resembles.

Messages say what was got, what was expected and how to fix it.
"""

from __future__ import annotations

from typing import Any


class AnydraftError(Exception):
    """Base of every error raised by anydraft. Each pickles, with all that it says."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Not by a call of the class, which may take more than the message."""
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[AnydraftError], args: tuple[Any, ...], said: dict[str, Any]) -> AnydraftError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(said)
    return error


class ArgumentError(AnydraftError, ValueError):
    """An argument of a public function is out of its domain."""


class TokenizerError(AnydraftError, ValueError):
    """A tokenizer cannot be expressed in bytes, or contradicts itself."""


class PairError(AnydraftError, ValueError):
    """Two models or tokenizers cannot work together as asked."""


class ModelError(AnydraftError, RuntimeError):
    """A model does not behave as the decoding loop needs."""


class DraftError(AnydraftError, RuntimeError):
    """The draft's model failed. The decoding loop goes on without it."""


class ModelFileError(AnydraftError, OSError):
    """A model or tokenizer file is missing or unreadable."""


class BridgeFileError(AnydraftError, ValueError):
    """A saved bridge is damaged or belongs to other tokenizers."""


class MemoryFileError(AnydraftError, ValueError):
    """A saved memory is missing, damaged or of another version."""


class MissingPackageError(AnydraftError, ImportError):
    """An optional package is needed and not installed."""
