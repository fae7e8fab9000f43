"""Rules of CONTRIBUTING.md for the tests themselves: no clock, nothing private of a pair, no name twice."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLOCKS = {"time", "monotonic", "perf_counter", "process_time", "thread_time"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}
PRIVATE = {"_row", "_models", "_tokenizers"}
ALLOWED = {"parallel_worker.py": {"time.time", "time.monotonic", "time.perf_counter"}}
"""Takes the clock away from a process, to show that its neighbours do not care."""


def broken(source: str) -> Iterator[str]:
    """Clocks of ``time`` that are read, and private names of a speculator or a stream that are used."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{alias.name}" for alias in node.names if alias.name in CLOCKS)
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.value, ast.Name) and node.value.id == "time" and node.attr in CLOCKS:
            yield f"time.{node.attr}"
        elif node.attr in PRIVATE and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            yield node.attr


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.name)
def test_no_clock_is_read_and_nothing_private(path: Path) -> None:
    assert set(broken(path.read_text(encoding="utf-8"))) <= ALLOWED.get(path.name, set())


def test_the_rules_can_be_broken() -> None:
    source = "import time\nfrom time import monotonic\nbegan = time.perf_counter()\nx = pair._models[0]\n"
    assert sorted(broken(source)) == ["_models", "time.monotonic", "time.perf_counter"]
    assert list(broken("time.sleep(1); self._row = row")) == []


def test_no_two_files_have_one_name() -> None:
    """pytest imports them as modules of one level: of two, it runs only the first."""
    names = Counter(path.name for path in TESTS.rglob("*.py"))
    assert [name for name, times in names.items() if times > 1] == []
