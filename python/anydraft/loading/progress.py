"""How what takes long reports what it does."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, from 0 to 1."""


def silent(stage: str, fraction: float) -> None:
    """The progress report that reports nothing."""
