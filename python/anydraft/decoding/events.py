"""What a decode reports, round by round."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from anydraft.decoding.stats import Stats

FinishReason = Literal["eos", "length", "window", "stop", "time"]
"""Why a decode ended: an end token, ``max_new_tokens``, the end of the target's context window, a stop string
or another stopping rule, or ``max_time``."""

Source = Literal["recovered", "bonus"]
"""Where a token comes from that was not drafted: drawn where something was proposed that did not hold, or
where nothing was."""


@dataclass(frozen=True)
class Event:
    """The tokens of one round: some accepted from the draft, then at most one drawn from the target."""

    token_ids: list[int]
    text: str
    """Text that became complete; an unfinished code point waits for the next event."""
    accepted: int
    """How many of ``token_ids``, from the first, were drafted."""
    source: Source | None
    """Where the last token comes from; ``None`` if all are accepted (the decode ended inside the draft)."""
    finish_reason: FinishReason | None = None
    """Set on the last event."""
    draft_failure: str | None = None
    """Set on the event after the draft failed; from there on the target decodes alone."""


@dataclass(frozen=True)
class Output:
    """A finished decode."""

    text: str
    """The emitted text, control tokens left out."""
    token_ids: list[int]
    """The emitted target ids, an end token included."""
    prompt_ids: list[int]
    finish_reason: FinishReason
    stats: Stats
    draft_failure: str | None = None
    """Why the draft dropped out, if it did."""


def collect(events: Iterable[Event], prompt_ids: list[int], stats: Stats) -> Output:
    """Run a decode to its end."""
    text, ids = [], []
    reason: FinishReason = "length"
    failure = None
    for event in events:
        text.append(event.text)
        ids.extend(event.token_ids)
        reason = event.finish_reason or reason
        failure = event.draft_failure or failure
    return Output("".join(text), ids, prompt_ids, reason, stats, failure)
