"""The text of an event, cut where its origin changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from anydraft import Detokenizer, Event, Tokenizer

Origin = Literal["accepted", "recovered", "bonus"]

STYLES: dict[Origin, str] = {"accepted": "green", "recovered": "bold yellow", "bonus": "bold cyan"}
MEANINGS: dict[Origin, str] = {
    "accepted": "drafted and accepted",
    "recovered": "drawn by the target after a rejection",
    "bonus": "drawn by the target for free, where nothing else was proposed",
}
PROMPT_STYLE = "dim"


@dataclass(frozen=True)
class Piece:
    """Text whose tokens all come from one place."""

    text: str
    origin: Origin


class Pieces:
    """Cuts the events of one decode. The pieces of an event make up its text exactly."""

    def __init__(self, tokenizer: Tokenizer, prompt_ids: list[int]) -> None:
        """``tokenizer``: the target's."""
        self._detokenizer = Detokenizer(tokenizer)
        self._detokenizer.push(prompt_ids)

    def of(self, event: Event) -> list[Piece]:
        """The event's pieces; a character of several tokens belongs to the one that completes it."""
        found: list[Piece] = []
        for i, token in enumerate(event.token_ids):
            origin: Origin = "accepted" if i < event.accepted else event.source or "accepted"
            text = self._detokenizer.push([token])
            if event.finish_reason and i == len(event.token_ids) - 1:
                text += self._detokenizer.finish()
            if found and found[-1].origin == origin:
                found[-1] = Piece(found[-1].text + text, origin)
            elif text:
                found.append(Piece(text, origin))
        return found


def heading(target: str, draft: str) -> Text:
    """Who speaks, who drafts, and what the colours mean."""
    lines = [Text.assemble((target, "bold"), " speaks, ", (draft, "bold"), " drafts.")]
    for origin, style in STYLES.items():
        lines.append(Text.assemble("  ", (f"{origin:<10}", style), MEANINGS[origin]))
    return Text("\n").join(lines)
