"""Plain decoding by transformers' own ``generate``: what the demo compares with."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from anydraft.cli.comparison import Decode
from anydraft.cli.loading import Loaded


class _Counter:
    """A streamer, as ``generate`` wants one, that counts tokens."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report
        self._count = -1  # the first thing put is the prompt

    def put(self, _: Any) -> None:
        self._count += 1
        self._report(self._count)

    def end(self) -> None:
        """Nothing is left to do."""


def decode_plain(
    target: Loaded,
    prompt_ids: list[int],
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int | None,
    report: Callable[[int], None],
) -> Decode:
    """The target's own continuation, by code that knows nothing of anydraft's loop."""
    import torch

    from anydraft.bridge.special_tokens import end_ids
    from anydraft.loading.quiet import quiet

    ids = torch.tensor([prompt_ids], device=target.model.device)
    ends = list(end_ids(target.tokenizer, target.model.generation_config))
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    if seed is not None:
        torch.manual_seed(seed)
    with quiet():
        began = time.perf_counter()
        output = target.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            eos_token_id=ends or None,
            pad_token_id=ends[0] if ends else None,
            streamer=_Counter(report),
            **(sampling if temperature > 0 else {"do_sample": False}),
        )
        seconds = time.perf_counter() - began
    return Decode(output[0, len(prompt_ids) :].tolist(), seconds)
