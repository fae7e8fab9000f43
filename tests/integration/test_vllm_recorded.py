"""The proposer against what a real vLLM handed to one: staggered requests, aborts, preemption.

``tests/support/data/vllm_rounds.json.gz`` was written by ``tests_vllm/record_rounds.py`` with
vLLM 0.32 and SmolLM2.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import real_pair
import small
from anydraft.integrations.vllm.proposer import Proposer

pytestmark = pytest.mark.real
RECORD = Path(__file__).parents[1] / "support" / "data" / "vllm_rounds.json.gz"
MOST = 4


@pytest.fixture(scope="module")
def record() -> Any:
    with gzip.open(RECORD, "rt", encoding="utf-8") as file:
        return json.load(file)


@pytest.fixture
def proposer(tmp_path: Path) -> Proposer:
    real_pair.tokenizer("smollm2").save_pretrained(tmp_path / "target")
    draft = small.byte_level()
    small.model(draft).save_pretrained(tmp_path / "draft")
    draft.save_pretrained(tmp_path / "draft")
    settings = {"draft": str(tmp_path / "draft"), "dtype": "float32", "adapt": "off"}
    return Proposer(
        SimpleNamespace(
            additional_config={"anydraft": settings},
            speculative_config=SimpleNamespace(num_speculative_tokens=MOST),
            model_config=SimpleNamespace(
                model=str(tmp_path / "target"), tokenizer=str(tmp_path / "target"), max_model_len=256
            ),
            device_config=SimpleNamespace(device="cpu"),
        )
    )


def test_the_record_has_what_it_is_for(record: Any) -> None:
    assert record["preempted"] >= 1
    assert len(record["finished"]) >= 35
    assert max(len(r["rows"]) for r in record["rounds"]) == 8
    assert any(len(ids) > 1 for r in record["rounds"] for ids in r["sampled"])  # guesses that held


def test_every_round_is_answered_and_every_draft_has_read_its_request(
    proposer: Proposer, record: Any
) -> None:
    drafter = proposer.drafter
    assert drafter is not None
    for recorded in record["rounds"]:
        rows, sampled = recorded["rows"], recorded["sampled"]
        table = np.zeros((len(rows), 256), dtype=np.int32)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        lengths = np.array([len(row) for row in rows])
        proposals = proposer.propose(sampled, lengths, table, slot_mappings=None)
        assert len(proposals) == len(rows)
        for ids, new in zip(proposals, sampled, strict=True):
            assert len(ids) <= (MOST if new else 0)
            assert all(0 <= token < 49152 for token in ids)
        wanted = [row for row, new in zip(rows, sampled, strict=True) if new]
        known = drafter._table._known[: len(wanted)]
        assert sorted(k.ids.tolist() for k in known) == sorted(wanted)
        for k in known:
            assert bytes(k.kept.session.bytes()) == drafter._bridge.target.decode(k.ids.tolist())
    assert not proposer._failed
    assert drafter.counts.drafted_rounds > 100
    assert drafter.counts.proposed > 500
    assert len(drafter._batch) == len(drafter._table) <= 2 * drafter._most_requests
