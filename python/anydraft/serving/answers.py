"""What is sent: the objects of OpenAI's interface."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal

from anydraft.decoding.events import Event, FinishReason
from anydraft.serving.cut import StopCut
from anydraft.serving.job import Job
from anydraft.serving.logprobs import Scored
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

_COUNTS = ("target_passes", "draft_passes", "drafted", "proposed", "accepted", "looked_up")

DONE = b"data: [DONE]\n\n"


def server_sent(data: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


class Choice:
    """One of the texts that answer a request, as it grows."""

    def __init__(self, kind: Kind, job: Job, index: int) -> None:
        """``index``: its number among them."""
        self._kind, self._job, self._index = kind, job, index
        self._cut = StopCut([stop] if isinstance(stop := job.options.stop, str) else stop)
        self._text = ""
        self._scored: list[Scored] = []
        self.scored: list[Scored] = []
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
        if self._job.logprobs is not None:
            self.scored = self._job.logprobs.told(shown, event, cut=self._cut.found)
            self._scored += self.scored
        self._text += shown
        return shown

    def whole(self) -> dict[str, Any]:
        """The finished text."""
        said = {"message": {"role": "assistant", "content": self._text}}
        return self._object(said if self._kind == "chat" else {"text": self._text}, self._scored)

    def opening(self) -> dict[str, Any]:
        """The part before any text of a chat: who speaks."""
        return self._object({"delta": {"role": "assistant", "content": ""}}, None)

    def part(self, text: str) -> dict[str, Any]:
        """The part with what the latest event had."""
        said: dict[str, Any] = {"delta": {"content": text}} if self._kind == "chat" else {"text": text}
        return self._object(said, self.scored)

    @property
    def ended(self) -> bool:
        """Whether nothing follows."""
        return self._reason is not None

    def told(self) -> dict[str, Any]:
        """What the drafts brought."""
        stats = self._job.stats
        assert stats is not None
        counts = {name: getattr(stats, name) for name in _COUNTS}
        return {"method": self._job.drafted_with, **counts, "draft_failure": self._failure}

    def _object(self, said: dict[str, Any], scored: list[Scored] | None) -> dict[str, Any]:
        reason = _REASONS[self._reason] if self._reason else None
        logprobs = self._job.logprobs
        told = None if logprobs is None or scored is None else logprobs.as_json(scored)
        return {"index": self._index, **said, "logprobs": told, "finish_reason": reason}


class Answer:
    """The answer to a request: one text, or several of one prompt."""

    def __init__(self, kind: Kind, served: str, jobs: Sequence[Job]) -> None:
        """``served``: the model's name."""
        prefix, self._whole, self._part = _NAMES[kind]
        self._kind, self._jobs = kind, jobs
        self._choices = [Choice(kind, job, index) for index, job in enumerate(jobs)]
        self._same = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": served}

    def take(self, index: int, event: Event) -> str:
        """Take note of an event of one of the texts; what can be shown of it now."""
        return self._choices[index].take(event)

    def whole(self) -> dict[str, Any]:
        """The finished answer."""
        choices = [choice.whole() for choice in self._choices]
        return {**self._object(self._whole, choices), "usage": self.usage(), "anydraft": self.told()}

    def openings(self) -> list[dict[str, Any]]:
        """The parts before any text: of a chat, who speaks."""
        if self._kind != "chat":
            return []
        return [self._object(self._part, [choice.opening()]) for choice in self._choices]

    def tells(self, index: int) -> bool:
        """Whether the latest event has logprobs to tell, with text or without."""
        return bool(self._choices[index].scored)

    def part(self, index: int, text: str) -> dict[str, Any]:
        """A part with text; the last one of each text also has what was counted."""
        choice = self._choices[index]
        made = self._object(self._part, [choice.part(text)])
        return {**made, "anydraft": choice.told()} if choice.ended else made

    def counted(self) -> dict[str, Any]:
        """The part with the usage."""
        return {**self._object(self._part, []), "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        """Tokens of the target; the prompt's once, however many texts there are."""
        read = len(self._jobs[0].prompt.ids)
        said = sum(job.stats.tokens for job in self._jobs if job.stats)
        return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}

    def told(self) -> dict[str, Any]:
        """What the drafts brought, all texts together; methods and failures as of the first that has one."""
        every = [choice.told() for choice in self._choices]
        counts = {name: sum(told[name] for told in every) for name in _COUNTS}
        failure = next((told["draft_failure"] for told in every if told["draft_failure"]), None)
        return {"method": every[0]["method"], **counts, "draft_failure": failure}

    def _object(self, name: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._same, "object": name, "choices": choices}
