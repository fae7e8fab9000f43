"""Real models in llama.cpp. These tests need llama-cpp-python: ``make test-llama``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests" / "support")]

from files import TEXT, opened  # noqa: E402


@pytest.fixture(scope="module")
def llama() -> Iterator[Any]:
    made = opened(n_batch=32)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ids(llama: Any) -> Tensor:
    return torch.tensor(llama.tokenize(TEXT.encode())[:400])
