"""Faults at every step of the loop: what was said is right, kept caches are right, nothing is left behind.

``make sweep ARGS="tests/exactness/test_faults.py -s"`` breaks decodes at more than 5,000 places, a share of
them for each method and error, and prints how many there were in each part of the package. Which part may
fail how: docs/faults.md.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from stepping import Broken, PlantedError

PARTS = ("decoding", "engine", "models", "proposers")
KINDS: list[type[BaseException]] = [KeyboardInterrupt, PlantedError, MemoryError]
METHODS = ["slem", "tli", "pushforward", "slrs", "auto"]
PLACES = 5000
"""In the whole sweep, at least."""


@pytest.mark.parametrize(
    ("method", "kind"), [("slem", KeyboardInterrupt), ("tli", PlantedError), ("slrs", MemoryError)]
)
def test_something_is_raised_at_some_lines(method: Any, kind: type[BaseException]) -> None:
    broken = Broken(method)
    broken.every(max(1, broken.lines // 60), kind, first=7)
    assert broken.raised.total() > 30
    assert {where.split("/")[0] for where in broken.raised} >= set(PARTS)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_something_is_raised_at_every_few_lines(method: Any, kind: type[BaseException]) -> None:
    broken = Broken(method)
    stride = max(1, broken.lines // 400)
    broken.every(stride, kind, first=1 + KINDS.index(kind) * stride // len(KINDS))
    parts = Counter[str]()
    for where, n in broken.raised.items():
        parts[where.split("/")[0]] += n
    print(f"{parts.total()} places of {broken.lines} lines: {dict(parts.most_common())}")
    assert parts.total() * len(METHODS) * len(KINDS) >= PLACES
