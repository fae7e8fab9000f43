"""What is sent: the objects of OpenAI's interface."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any, Literal

from anydraft.decoding.events import Event, FinishReason
from anydraft.serving.cut import StopCut
from anydraft.serving.job import Job
from anydraft.serving.requests import Kind

_REASONS: dict[FinishReason, Literal["stop", "length"]] = {
    "eos": "stop",
    "stop": "stop",
    "length": "length",
    "window": "length",
    "time": "length",
}
_NAMES: dict[Kind, tuple[str, str, str]] = {
    "chat": ("chatcmpl", "chat.completion", "chat.completion.chunk"),
    "text": ("cmpl", "text_completion", "text_completion"),
}
"""What ids begin with, what an answer is called, and what a part of one."""

DONE = b"data: [DONE]\n\n"


def server_sent(data: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


class Answer:
    """An answer as it grows: whole at the end, or in parts."""

    def __init__(self, kind: Kind, served: str, job: Job) -> None:
        """``served``: the model's name."""
        prefix, self._whole, self._part = _NAMES[kind]
        self._kind, self._job = kind, job
        self._cut = StopCut([stop] if isinstance(stop := job.options.stop, str) else stop)
        self._same = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": served}
        self._text = ""
        self._reason: FinishReason | None = None
        self._failure: str | None = None

    def take(self, event: Event) -> str:
        """Take note of an event; the text that can be shown now."""
        self._failure = event.draft_failure or self._failure
        self._reason = event.finish_reason
        if self._reason is None:
            shown = self._cut.push(event.text)
        else:
            shown = self._cut.finish(event.text)
            self._reason = "stop" if self._cut.found else self._reason
        self._text += shown
        return shown

    def whole(self) -> dict[str, Any]:
        """The finished answer."""
        said = {"message": {"role": "assistant", "content": self._text}}
        choice = said if self._kind == "chat" else {"text": self._text}
        return {**self._object(self._whole, choice), "usage": self.usage(), "anydraft": self.told()}

    def opening(self) -> dict[str, Any] | None:
        """The part before any text: of a chat, who speaks."""
        said = {"delta": {"role": "assistant", "content": ""}}
        return self._object(self._part, said) if self._kind == "chat" else None

    def part(self, text: str) -> dict[str, Any]:
        """A part with text; the last one also has what was counted."""
        said: dict[str, Any] = {"delta": {"content": text}} if self._kind == "chat" else {"text": text}
        made = self._object(self._part, said)
        return {**made, "anydraft": self.told()} if self._reason else made

    def counted(self) -> dict[str, Any]:
        """The part with the usage."""
        return {**self._object(self._part, {}), "choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        """Tokens of the target."""
        read, said = len(self._job.prompt.ids), self._job.stats.tokens if self._job.stats else 0
        return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}

    def told(self) -> dict[str, Any]:
        """What the drafts brought."""
        stats = self._job.stats
        assert stats is not None
        names = ("target_passes", "draft_passes", "drafted", "proposed", "accepted", "looked_up")
        counts = {name: getattr(stats, name) for name in names}
        return {"method": self._job.drafted_with, **counts, "draft_failure": self._failure}

    def _object(self, name: str, said: dict[str, Any]) -> dict[str, Any]:
        reason = _REASONS[self._reason] if self._reason else None
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": reason}
        return {**self._same, "object": name, "choices": [choice]}
