"""Faults at every step of the loop: what was said is right, kept caches are right, nothing is left behind.

``make sweep ARGS="tests/exactness/test_faults.py -s"`` breaks decodes at more than 5,000 places and prints
how many there were in each part of the package. Which part may fail how: docs/faults.md.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from stepping import Broken, PlantedError

PARTS = ("decoding", "engine", "models", "proposers")
KINDS: list[type[BaseException]] = [KeyboardInterrupt, PlantedError, MemoryError]


@pytest.mark.parametrize(
    ("method", "kind"), [("slem", KeyboardInterrupt), ("tli", PlantedError), ("slrs", MemoryError)]
)
def test_something_is_raised_at_some_lines(method: Any, kind: type[BaseException]) -> None:
    broken = Broken(method)
    broken.every(max(1, broken.lines // 60), kind, first=7)
    assert broken.raised.total() > 30
    assert {where.split("/")[0] for where in broken.raised} >= set(PARTS)


@pytest.mark.sweep
def test_something_is_raised_at_every_few_lines() -> None:
    """At least 5,000 places."""
    count: Counter[str] = Counter()
    for i, method in enumerate(("slem", "tli", "pushforward", "slrs", "auto")):
        for kind in KINDS:
            broken = Broken(method)
            broken.every(max(1, broken.lines // 350), kind, first=1 + i)
            count.update({where.split("/")[0]: n for where, n in broken.raised.items()})
    print(f"{count.total()} places: {dict(count.most_common())}")
    assert count.total() >= 5000
