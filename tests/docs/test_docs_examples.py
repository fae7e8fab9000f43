"""The page on class coupling shows what its example computes, and its picture is the one that is drawn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "class-coupling.md").read_text(encoding="utf-8")
NUMBER = r"\d+\.\d+"


def run(script: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, check=True, encoding="utf-8"
    ).stdout


@pytest.fixture(scope="module")
def said() -> str:
    return run(DOCS / "examples" / "class_coupling.py")


def test_the_tables_of_the_page_are_what_the_example_prints(said: str) -> None:
    shown = re.findall(r"^```text\n(.*?)\n```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert shown == said.rstrip("\n").split("\n\n")


def test_the_numbers_between_the_tables_are_printed_too(said: str) -> None:
    without_links = re.sub(r"\]\([^)]*\)", "", PAGE)
    prose = re.sub(r"^```.*?^```$", "", without_links, flags=re.DOTALL | re.MULTILINE)
    used = set(re.findall(NUMBER, prose))
    assert used
    assert used <= set(re.findall(NUMBER, said))


def test_the_sums_written_out_are_right() -> None:
    signs = {"+": lambda a, b: a + b, "/": lambda a, b: a / b, "×": lambda a, b: a * b}
    found = re.findall(rf"({NUMBER}) ([+/×]) ({NUMBER}) = ({NUMBER})", PAGE)
    assert len(found) >= 3
    for left, sign, right, result in found:
        assert signs[sign](float(left), float(right)) == pytest.approx(float(result)), (left, sign, right)


def test_what_is_emitted_is_the_targets_law(said: str) -> None:
    laws, ledger = (said.split("\n\n")[i].splitlines()[1:] for i in (0, 4))
    assert [line.split()[:2] for line in laws] == [
        [line.split()[0], line.split()[-1]] for line in ledger if not line.startswith("sum")
    ]


def test_links_and_files_exist() -> None:
    links = {link for link in re.findall(r"\]\(([^)#\s]+)\)", PAGE) if "://" not in link}
    named = set(re.findall(r"`((?:docs|tests|python)/[\w./-]+)`", PAGE))
    assert links
    assert named
    assert [link for link in links if not (DOCS / link).exists()] == []
    assert [name for name in named if not (DOCS.parent / name).exists()] == []
