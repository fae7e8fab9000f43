"""Real models in llama.cpp. These tests need llama-cpp-python: ``make test-llama``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests" / "support")]
