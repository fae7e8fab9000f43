"""Stopping rules: transformers' own criteria, stop strings, and time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import TypeAlias

from torch import Tensor
from transformers import MaxTimeCriteria

from anydraft.bridge.text import utf8
from anydraft.decoding.events import FinishReason
from anydraft.decoding.stopping import Prefix, StopRule
from anydraft.errors import ArgumentError

Scores = Callable[[Tensor], tuple[Tensor, ...]]
"""From all ids of a row so far, int64 ``[n]``, to the scores ``[1, V]`` of every emitted one."""

Criterion: TypeAlias = Callable[..., "Tensor | bool"]
"""A stopping criterion of transformers: ids ``[1, n]`` and scores, if any, to whether the decode ends."""


def criteria_rules(criteria: Iterable[Criterion], scores: Scores | None = None) -> Iterator[StopRule]:
    """transformers' stopping criteria; each is called with ids ``[1, n]`` and the scores, if any."""
    for criterion in criteria:
        reason: FinishReason = "time" if isinstance(criterion, MaxTimeCriteria) else "stop"

        def rule(
            prefix: Prefix, criterion: Criterion = criterion, reason: FinishReason = reason
        ) -> FinishReason | None:
            said = criterion(prefix.ids[None], scores(prefix.ids) if scores else None)
            return reason if bool(said.all() if isinstance(said, Tensor) else said) else None

        yield rule


def stop_strings(stop: str | Sequence[str]) -> list[bytes]:
    """The stop strings in bytes.

    Raises:
        ArgumentError: something else than strings, or an empty one.
    """
    strings = [stop] if isinstance(stop, str) else list(stop) if isinstance(stop, Iterable) else [stop]
    if any(not isinstance(string, str) or not string for string in strings):
        raise ArgumentError(f"got stop={stop!r}; expected a string, or several, none of them empty")
    return [utf8(string, "a stop string") for string in strings]


def stop_rules(
    stop: str | Sequence[str], decode: Callable[[list[int]], bytes], after: int = 0
) -> Iterator[StopRule]:
    """Stop with the token in which one of the strings ends; errors as for :func:`stop_strings`.

    ``decode``: ids to bytes, control tokens as they are written, so that a string may name one; ``after``: so
    many ids at the front, such as the prompt, are not looked at.
    """
    wanted = stop_strings(stop)
    if not wanted:
        return
    longest = max(map(len, wanted))

    def rule(prefix: Prefix) -> FinishReason | None:
        tail = prefix.tail(min(longest + 1, len(prefix.ids) - after))
        last = len(decode(tail[-1:]))
        text = decode(tail)
        return (
            "stop" if any(text.find(s, max(0, len(text) - last - len(s) + 1)) >= 0 for s in wanted) else None
        )

    yield rule


def check_max_time(max_time: float | None) -> None:
    """Raise :class:`ArgumentError` for what is no number of seconds above 0, nor ``None``."""
    number = isinstance(max_time, Real) and math.isfinite(max_time)
    if max_time is not None and not (number and max_time > 0):
        raise ArgumentError(f"got max_time={max_time!r}; expected seconds, more than 0")


def time_rules(max_time: float | None) -> Iterator[StopRule]:
    """Stop after so many seconds from now; ``None``: never. Errors as for :func:`check_max_time`."""
    check_max_time(max_time)
    if max_time is None:
        return
    began = time.monotonic()
    yield lambda _: "time" if time.monotonic() - began > max_time else None
