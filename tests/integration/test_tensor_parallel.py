"""A target whose layers are split over two processes: all agree on every token, and it is the right one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

import trained

WORKER = Path(__file__).parents[1] / "support" / "parallel_worker.py"
SECONDS = 240

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this PyTorch has no gloo"
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the run of one process said, and each of the two."""
    folder = tmp_path_factory.mktemp("parallel")
    target, draft, *tokenizers = trained.pair()
    for name, model, tokenizer in zip(("target", "draft"), (target, draft), tokenizers, strict=True):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run([str(WORKER), str(folder)])
    run([*launch, str(WORKER), str(folder), "parallel"])
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("rank*.json")}


def run(arguments: list[str]) -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *arguments], env=variables, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_all_processes_say_the_same(said: dict[str, dict[str, Any]]) -> None:
    """Although their seeds and their clocks differ."""
    assert set(said) == {"rankalone", "rank0", "rank1"}
    first, second = said["rank0"], said["rank1"]
    assert (first["tp"], second["tp"]) == (2, 2)
    for name in ("greedy", "rows", "sample", "walked", "timed", "pair", "auto", "plain"):
        assert first[name] == second[name], name
    for name in ("scores", "walked scores"):
        assert first[name] == pytest.approx(second[name], rel=1e-4)


def test_it_is_what_one_process_says(said: dict[str, dict[str, Any]]) -> None:
    alone, first = said["rankalone"], said["rank0"]
    for name in ("greedy", "rows", "walked", "timed", "pair", "plain"):
        assert first[name] == alone[name], name
    assert first["greedy"] == first["plain"]
    assert first["drafted"]
    assert len(first["scores"]) == len(alone["scores"])
    assert torch.allclose(torch.tensor(first["scores"]), torch.tensor(alone["scores"]), rtol=1e-3)
