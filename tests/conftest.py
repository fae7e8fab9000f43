"""Hypothesis profiles and the real tokenizers.

``quick`` is the default: a fixed set of examples, so that a run is the same everywhere. ``full`` draws new
ones at every run: ``pytest --hypothesis-profile=full``, or ``HYPOTHESIS_PROFILE=full``.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

import real
import wheels

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("full", max_examples=2000, deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session", params=list(real.TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> wheels.Pair:
    """Each real tokenizer: ours, and the installed wheel's."""
    return wheels.pair(request.param)
