"""What the target itself thought of the tokens of an answer, as OpenAI's interface tells it."""

from __future__ import annotations

import codecs
from collections import deque
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.text import written_out
from anydraft.decoding.events import Event
from anydraft.serving.requests import Kind

_LEAST = -9999.0
"""In place of minus infinity, which JSON does not have; so does OpenAI."""


class Scored(NamedTuple):
    """A token that was emitted."""

    token: int
    logprob: float
    likeliest: list[tuple[int, float]]
    offset: int = 0
    """Characters of the answer before it."""


class Logprobs:
    """Of one answer. The law is the softmax of the target's own logits, before what a request asks for."""

    def __init__(self, kind: Kind, bridge: Bridge, likeliest: int) -> None:
        """``likeliest``: how many tokens are told beside each that was emitted."""
        self._kind, self._likeliest = kind, likeliest
        self._bytes, self._written = bridge.target.decode, written_out(bridge.target)
        self._waiting: deque[Scored] = deque()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._length = self._before = 0

    def watch(self, logits: Tensor, ids: list[int]) -> None:
        """Take note of what a round emitted: logits ``[n, V]`` and ``n`` ids. Called by the scheduler."""
        law = logits.float().log_softmax(-1)
        own = law.gather(-1, torch.tensor(ids, device=law.device)[:, None])[:, 0].tolist()
        values, names = law.topk(min(self._likeliest, law.shape[-1]))
        for token, logprob, row in zip(
            ids, own, zip(names.tolist(), values.tolist(), strict=True), strict=True
        ):
            self._waiting.append(Scored(token, logprob, list(zip(*row, strict=True))))

    def told(self, shown: str, event: Event, *, cut: bool) -> list[Scored]:
        """The tokens to tell with a part of the text: those that begin in what was shown so far.

        ``cut``: the text ended at a stop string. An end token is none of the answer.
        """
        self._length += len(shown)
        last = event.finish_reason is not None and not cut
        found = []
        while self._waiting and (last or self._before < self._length):
            scored = self._waiting.popleft()
            if last and not self._waiting and event.finish_reason == "eos":
                break
            found.append(scored._replace(offset=self._before))
            self._before += len(self._decoder.decode(self._bytes([scored.token])))
        return found

    def as_json(self, told: list[Scored]) -> dict[str, Any]:
        """In the form of the kind of request."""
        if self._kind == "chat":
            content = [
                {**self._one(scored.token, scored.logprob), "top_logprobs": self._all(scored.likeliest)}
                for scored in told
            ]
            return {"content": content, "refusal": None}
        names = [self._name(scored.token) for scored in told]
        return {
            "tokens": names,
            "token_logprobs": [max(scored.logprob, _LEAST) for scored in told],
            "top_logprobs": [
                {self._name(token): max(logprob, _LEAST) for token, logprob in scored.likeliest}
                for scored in told
            ]
            if self._likeliest
            else None,
            "text_offset": [scored.offset for scored in told],
        }

    def _all(self, likeliest: list[tuple[int, float]]) -> list[dict[str, Any]]:
        return [self._one(token, logprob) for token, logprob in likeliest]

    def _one(self, token: int, logprob: float) -> dict[str, Any]:
        data = self._written([token])
        return {"token": self._name(token), "logprob": max(logprob, _LEAST), "bytes": list(data)}

    def _name(self, token: int) -> str:
        """The token's text; of one that is a part of a character its bytes, as OpenAI writes them."""
        data = self._written([token])
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
