"""The page about llama.cpp: its Python runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from files import file

PAGE = Path(__file__).parents[1] / "docs" / "llama-cpp.md"


def test_the_examples_run() -> None:
    names: dict[str, Any] = {"big": str(file()), "small": str(file("gemma3"))}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert names["output"].text.strip()
    assert names["answer"]["choices"][0]["message"]["content"].strip()
