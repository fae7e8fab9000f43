"""Make docs/tutorial.ipynb: run the cells of tutorial.py on the real pair and keep what they print.

python docs/examples/make_notebook.py docs/tutorial.ipynb
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("tutorial.py")


def cells() -> list[tuple[str, str]]:
    """(kind, text) of each cell: ``# %%`` begins one of code, ``# %% [markdown]`` one of text."""
    parts = re.split(r"^# %%( \[markdown\])?\n", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = []
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        body = text.strip("\n")
        found.append(("markdown", re.sub(r"^# ?", "", body, flags=re.MULTILINE)) if kind else ("code", body))
    return found


def run() -> list[dict[str, Any]]:
    """The cells of the notebook, run from first to last."""
    names: dict[str, Any] = {}
    made: list[dict[str, Any]] = []
    for number, (kind, text) in enumerate(cells()):
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": _lines(text),
        }
        if kind == "code":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(text, SOURCE.name, "exec"), names)
            outputs = [{"name": "stdout", "output_type": "stream", "text": _lines(said.getvalue())}]
            cell |= {"execution_count": None, "outputs": outputs if said.getvalue() else []}
        made.append(cell)
    return made


def notebook() -> str:
    """The whole file."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": run(), "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(notebook(), encoding="utf-8")
