"""Faults of vLLM that change the law of what it emits: looked for at start, mended where found."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger("vllm.anydraft")


def mend() -> None:
    """Check what vLLM verifies proposals with in this process; replace what computes something else.

    vLLM 0.32 on a CPU divides the logits of proposed tokens by temperatures that were never written
    (``expand_batch_to_tokens`` gives its kernel a copy of its result), so every kind of speculative decoding
    samples from a wrong law there. Greedy decoding is not touched by it.
    """
    try:
        from vllm.v1.sample import rejection_sampler
    except ImportError:
        return
    if not torch.cuda.is_available() and not _expands(rejection_sampler.expand_batch_to_tokens):
        rejection_sampler.expand_batch_to_tokens = expand_batch_to_tokens
        log.warning(
            "anydraft: this vLLM samples speculated tokens at a wrong temperature on a CPU "
            "(expand_batch_to_tokens); it was mended in this process"
        )


def expand_batch_to_tokens(
    x: Tensor, cu_num_tokens: Tensor, num_tokens: int, replace_from: float = 0, replace_to: float = 0
) -> Tensor:
    """vLLM's function of this name: ``x`` ``[B]``, each as often as its request has tokens: ``[n]``."""
    ends = cu_num_tokens.to(x.device).long()
    counts = torch.diff(ends, prepend=ends.new_zeros(1))
    expanded = x.repeat_interleave(counts, output_size=num_tokens)
    return torch.where(expanded == replace_from, torch.full_like(expanded, replace_to), expanded)


def _expands(function: Any) -> bool:
    """Whether vLLM's function does what it says; tried often, as unwritten memory may look right."""
    x, ends = torch.tensor([0.7, 0.0, 1.3]), torch.tensor([2, 3, 4], dtype=torch.int32)
    expected = torch.tensor([0.7, 0.7, 1.0, 1.3])
    try:
        return all(torch.equal(function(x + i, ends, 4, i, i + 1.0), expected + i) for i in range(5))
    except Exception:  # kernels that cannot run here
        return False
