"""A run of the comparison as one record, written after every cell: an interrupted run keeps what it has."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from anydraft.bench.chart import write_chart
from anydraft.bench.comparison import Pair, Settings, cell, fitting, summary


class Cell(NamedTuple):
    """One pair, prompt set and temperature."""

    title: str
    found: dict[str, Any] | None
    """``None``: no prompt fits into the target's window."""


class Comparison:
    """Runs cells, keeps the record, writes it where asked."""

    def __init__(
        self,
        sets: Mapping[str, Sequence[str]],
        temperatures: Sequence[float],
        prompts: int,
        settings: Settings,
        *,
        json_path: Path | None = None,
        chart_path: Path | None = None,
    ) -> None:
        """``prompts``: of each set, at most."""
        self._sets, self._temperatures, self._prompts = sets, temperatures, prompts
        self._settings = settings
        self._json, self._chart = json_path, chart_path
        self.record: dict[str, Any] = {
            "settings": {**asdict(settings), "prompts": prompts},
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "torch": torch.__version__,
            "notes": {},
            "cells": {},
        }

    def run(
        self, pairs: Iterable[Callable[[], Pair]], told_of: Callable[[str], None] = lambda _: None
    ) -> Iterator[Cell]:
        """Cell by cell; ``pairs`` are made one after the other: two large models need not be in memory."""
        for make in pairs:
            pair = make()
            self.record["notes"][pair.name] = pair.note
            for name, texts in self._sets.items():
                prompts = fitting(pair, texts, self._settings.tokens)[: self._prompts]
                for temperature in self._temperatures:
                    title = f"{pair.name}, {name}, T={temperature:g}"
                    if not prompts:
                        yield Cell(title, None)
                        continue
                    found = cell(pair, prompts, temperature, self._settings, partial(_tell, told_of, title))
                    self.record["cells"][title] = found
                    self._write()
                    yield Cell(f"{title} ({pair.note})" if pair.note else title, found)
        if self.record["cells"]:
            self.record["summary"] = summary(self.record)
            self._write()

    def _write(self) -> None:
        if self._json:
            self._json.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")
        if self._chart:
            write_chart(self.record, self._chart)


def _tell(told_of: Callable[[str], None], title: str, said: str) -> None:
    told_of(f"{title}: {said}")
