"""Hypothesis profiles and the real tokenizers.

``quick`` is the default: a fixed set of examples, so that a run is the same everywhere. ``full`` draws new
ones at every run: ``pytest --hypothesis-profile=full``, or ``HYPOTHESIS_PROFILE=full``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import elsewhere
import placed
import real
import wheels
from anydraft.memory.memory import PROCESS

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "quick", max_examples=200, deadline=None, derandomize=True, suppress_health_check=_SLOW
)
settings.register_profile(
    "full", max_examples=2000, deadline=None, print_blob=True, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sweeps take minutes: they run only where ``-m`` asks for them."""
    if "sweep" not in config.getoption("markexpr"):
        sweeps = [item for item in items if item.get_closest_marker("sweep")]
        config.hook.pytest_deselected(items=sweeps)
        items[:] = [item for item in items if item not in sweeps]


@pytest.fixture(autouse=True)
def _placed() -> Iterator[None]:
    """Let tensors be where the tests' models are, if that is nowhere."""
    if placed.DEVICE.type != elsewhere.NAME:
        yield
        return
    with elsewhere.there():
        yield


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What one test says, another does not find in the memory of the process."""
    PROCESS.clear()


@pytest.fixture(scope="session", params=list(real.TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> wheels.Pair:
    """Each real tokenizer: ours, and the installed wheel's."""
    return wheels.pair(request.param)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; the folder need not be there."""
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a tiny target and a tiny draft, with their tokenizers; not to be changed."""
    import cli_models

    return cli_models.save(tmp_path_factory.mktemp("models"))
