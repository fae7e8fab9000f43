"""The guide to transformers is true: its examples run, its numbers are counted, its files exist."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from pathlib import Path
from typing import Any

import generate_cases
import trained
from chat_templates import TEMPLATES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "transformers.md").read_text(encoding="utf-8")


def test_the_examples_run() -> None:
    target, draft, *tokenizers = (copy.deepcopy(part) for part in trained.pair())
    for tokenizer, template in zip(tokenizers, TEMPLATES, strict=True):
        tokenizer.chat_template = template
    names: dict[str, Any] = {"target": target, "draft": draft}
    names |= {"target_tokenizer": tokenizers[0], "draft_tokenizer": tokenizers[1], "print": _flat}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        for block in blocks:
            exec(compile(block, "transformers.md", "exec"), names)
    assert len(blocks) == 6
    assert "tokens per pass of the target; ['length']" in said.getvalue()
    assert len(said.getvalue().splitlines()) == 6
    assert names["output"].shape[0] == 2


def _flat(*parts: Any) -> None:
    """As ``print``, on one line."""
    print(*(str(part).replace("\n", " ") for part in parts))


def test_the_configurations_are_counted() -> None:
    found = re.search(r"compares (\d+) configurations .* and (\d+) of them", PAGE, flags=re.DOTALL)
    assert found is not None
    assert [int(n) for n in found.groups()] == [
        len(generate_cases.cases()),
        len(generate_cases.real_cases()),
    ]


def test_the_files_that_are_named_exist() -> None:
    named = set(re.findall(r"`((?:docs|tests|python)/[\w./-]+)`", PAGE))
    assert named
    assert [name for name in named if not (DOCS.parent / name).exists()] == []
