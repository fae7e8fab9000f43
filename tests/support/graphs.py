"""CUDA graphs without CUDA: where one would be replayed, its pass is run."""

from __future__ import annotations

import pytest

from anydraft.models.fast import graphs, runner


def rehearse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a CPU record passes, all but the graph itself."""
    monkeypatch.setattr(runner, "records", lambda _: True)
    monkeypatch.setattr(graphs, "run_apart", lambda run, _: run().clone())
    monkeypatch.setattr(graphs, "record", lambda run, *_: run)
