"""``guidance_scale``: classifier-free guidance that can take rejected tokens back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, UnbatchedClassifierFreeGuidanceLogitsProcessor

from anydraft.bridge.common import common_prefix
from anydraft.errors import ArgumentError
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel


class Guidance(LogitsProcessor):
    """Moves the scores of a row away from those after its negative prompt.

    transformers' own processor feeds its last token at every call, so rejected tokens would stay in its
    cache. This one compares the ids with what it has fed, and crops.
    """

    def __init__(self, theirs: Any, row: int, rows: int, prompt: int) -> None:
        """``row`` of ``rows``, in place of ``theirs``; ``prompt``: ids before the first generated one."""
        self._scale = theirs.guidance_scale
        self._start = prompt
        self._model = TransformersModel(theirs.model, FastPasses())
        if self._model.way.shift:
            raise ArgumentError(
                f"got guidance_scale for {type(theirs.model).__name__}, whose guidance counts positions in "
                "another way than its generate; expected none. Leave it, or custom_generate, out"
            )
        if self._model.growing is not None:  # theirs calls forward alone, which reads nothing again
            self._model.growing = self._model.growing._replace(rereads=False)
        self._fed: list[int] = []
        negative = theirs.unconditional_context["input_ids"]
        mask = theirs.unconditional_context["attention_mask"]
        self._negative: list[int] | None = None
        if negative is not None:
            at = row * len(negative) // rows  # one prompt may serve several rows (num_return_sequences)
            kept = negative[at] if mask is None else negative[at][mask[at].bool().to(negative.device)]
            self._negative = kept.tolist()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """``[1, n]`` ids and ``[1, V]`` scores to ``[1, V]``."""
        row: list[int] = input_ids[0].tolist()
        before = row[self._start - 1 : self._start] if self._negative is None else self._negative
        ids = [*before, *row[self._start :]]
        keep = min(common_prefix(self._fed, ids), len(ids) - 1)
        self._model.crop(keep)
        self._model.settle(keep)
        self._fed = ids
        unread = ids[self._model.length :]
        logits = self._model.advance(torch.tensor(unread, device=self._model.device))
        with_prompt = torch.log_softmax(scores, -1)
        without = torch.log_softmax(logits.float(), -1).to(scores.device)
        guided: Tensor = self._scale * (with_prompt - without) + without
        return guided


def is_guidance(processor: object) -> bool:
    """Whether a processor is transformers' own guidance."""
    return type(processor) is UnbatchedClassifierFreeGuidanceLogitsProcessor
