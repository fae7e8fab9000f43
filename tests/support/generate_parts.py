"""Criteria, processors and streamers of a user, for calls of ``generate``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    StoppingCriteria,
    TextStreamer,
)
from transformers.generation.streamers import BaseStreamer

from generating import World


class LongEnough(StoppingCriteria):
    """Ends a row once it has a token that was said, in its place or later."""

    def __init__(self, world: World, place: int) -> None:
        self.token, self.place = world.said[place], world.inputs(3)["input_ids"].shape[1]

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return (input_ids[:, self.place :] == self.token).any(-1)


class SureEnough(StoppingCriteria):
    """Ends a row after a token whose score is far above the mean, five tokens in."""

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        assert all(score.shape[0] == len(input_ids) for score in scores)
        last = scores[-1]
        return (last.amax(-1) > last.mean(-1) + 1.0) & torch.tensor(len(scores) > 5)


class Shifted(LogitsProcessor):
    """Prefers ids near the last one."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        far = (torch.arange(scores.shape[-1]) - input_ids[:, -1:]).abs()
        return scores - far * 0.05


class Writing(LogitsProcessor):
    """Writes into what it is given."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.scatter_(1, input_ids[:, -2:], -20.0)


class Counting(LogitsProcessor):
    """Keeps a state: counts its calls, and forces a token at one of them."""

    def __init__(self, token: int, *, at: int) -> None:
        self.token, self.at, self.calls = token, at, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.at:
            scores = torch.full_like(scores, -torch.inf)
            scores[:, self.token] = 0.0
        return scores


class GoingOn(LogitsProcessor):
    """Keeps a state, and fails unless every call goes on from the last by one token, as a grammar does."""

    def __init__(self) -> None:
        self.seen: Tensor | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.seen is not None:
            assert torch.equal(input_ids[:, :-1], self.seen)
        self.seen = input_ids.clone()
        return scores - 0.01 * input_ids.sum(-1, keepdim=True).remainder(scores.shape[-1])


class OfAllRows(LogitsProcessor):
    """What it does to a row depends on the others: nobody may say what somebody else said just now."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.index_fill(-1, input_ids[:, -1], -9.0)


class Trie:
    """Allows five answers, and raises KeyError for a text that has left them."""

    def __init__(self, world: World) -> None:
        self.start = -1
        end = world.target.generation_config.eos_token_id
        self.next: dict[tuple[int, ...], list[int]] = {}
        for length in range(1, 6):
            answer = [*world.said[:length], *range(10, 15), *[end] * world.length]
            for i in range(len(answer)):
                self.next.setdefault(tuple(answer[:i]), []).append(answer[i])

    def __call__(self, row: int, ids: Tensor) -> list[int]:
        if self.start < 0:
            self.start = len(ids)
        return sorted(set(self.next[tuple(ids[self.start :].tolist())]))


class Listening(BaseStreamer):
    """Keeps what is put."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def put(self, value: Tensor) -> None:
        self.heard.append((value.shape, value.dtype, value.device.type, value.tolist()))

    def end(self) -> None:
        self.heard.append("end")


class Printing(TextStreamer):
    """Keeps the pieces that would be printed."""

    def __init__(self, tokenizer: Any, **options: Any) -> None:
        super().__init__(tokenizer, **options)
        self.pieces: list[Any] = []

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.pieces.append((text, stream_end))
