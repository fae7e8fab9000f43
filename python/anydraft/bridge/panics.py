"""The border to the tokenizer libraries while texts are encoded: their panics become errors of anydraft."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anydraft.errors import TokenizerError


@contextmanager
def without_panics() -> Iterator[None]:
    """A panic of a Rust library, which is no Exception and so passes all who catch those, as an error.

    Raises:
        TokenizerError: the library panicked on this tokenizer or text.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException" or isinstance(error, Exception):
            raise
        raise TokenizerError(
            f"got a tokenizer that its own library fails on ({error}); expected one that it can run. Choose "
            "another model"
        ) from error
