"""What ``anydraft bench`` prints of its record."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from anydraft.bench.record import Cell
from anydraft.cli.bench_report import sentences, show
from anydraft.cli.train_draft import phases

_FILE = Path(__file__).parents[2] / "benches/record/2026-11-22-speed.json"
RECORD = json.loads(_FILE.read_text(encoding="utf-8"))["tiny"]


def test_a_real_record_fits_into_80_columns() -> None:
    out = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for title, found in list(RECORD["cells"].items())[:3]:
        show(out, Cell(title, found))
    said = out.export_text().splitlines()
    assert max(map(len, said)) <= 80
    assert any("tok/pass" in line and "rest" in line for line in said)
    assert any(line.startswith("auto ") and "x" in line for line in said)
    assert not any("…" in line for line in said)


def test_the_end_is_in_words() -> None:
    said = list(sentences(RECORD["summary"]))
    least = RECORD["summary"]["auto beside the target alone, least"]
    assert any(f"at worst {least[0]:.2f} times" in line and least[1] in line for line in said)
    assert all(line.endswith(".") and "{" not in line and "[" not in line for line in said)
    good = {**RECORD["summary"], "auto beside the target alone, least": [1.02, "x"]}
    assert next(sentences(good)).startswith("auto keeps up with the target alone")


def test_a_training_says_beforehand_what_it_will_do() -> None:
    (said,) = phases(60, texts=None, steps=None, size="tiny")
    assert "30.0 minutes" in said
    assert "24.0 minutes" in said
    assert "hardly enough" in phases(5, texts=None, steps=None, size="tiny")[1]
    assert len(phases(5, texts=100, steps=20, size="tiny")) == 1
