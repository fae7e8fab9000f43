"""What mends vLLM does what vLLM's function promises."""

from __future__ import annotations

import torch

from anydraft.integrations.vllm.faults import _expands, expand_batch_to_tokens


def test_every_value_is_there_as_often_as_its_request_has_tokens() -> None:
    x, ends = torch.tensor([0.5, 0.0, 2.0]), torch.tensor([2, 2, 5], dtype=torch.int32)
    assert expand_batch_to_tokens(x, ends, 5, 0, 1).tolist() == [0.5, 0.5, 2.0, 2.0, 2.0]
    whole = torch.tensor([3, 0, 7], dtype=torch.int64)
    assert expand_batch_to_tokens(whole, torch.tensor([1, 2, 3]), 3).tolist() == [3, 0, 7]
    assert _expands(expand_batch_to_tokens)


def test_a_function_that_leaves_its_result_unwritten_is_found() -> None:
    def unwritten(x: torch.Tensor, ends: torch.Tensor, count: int, *_: float) -> torch.Tensor:
        return torch.full((count,), 0.7)

    assert not _expands(unwritten)
