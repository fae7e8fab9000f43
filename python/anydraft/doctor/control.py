"""Control tokens and chats, bridged exactly as a decode will do it."""

from __future__ import annotations

from anydraft.bridge import prompts, special_tokens
from anydraft.bridge.bridge import Bridge
from anydraft.bridge.pairing import roles_of
from anydraft.bridge.tables import Ids
from anydraft.doctor.report import Chat, Control, ControlPair
from anydraft.doctor.shown import visible
from anydraft.doctor.subject import Subject
from anydraft.errors import ArgumentError

_QUESTION = "Why is the sky blue?"
_CHAT = [{"role": "user", "content": _QUESTION}]


def bridge_of(target: Subject, draft: Subject) -> Bridge:
    """The bridge that a speculator builds for the two."""
    sides = target, draft
    roles = roles_of(
        [side.tokenizer for side in sides],
        [side.generation for side in sides],
        [side.facts.rows for side in sides],
    )
    return Bridge(target.core, draft.core, to_target=roles.to_target, to_draft=roles.to_draft)


def examine_control(bridge: Bridge, target: Subject, draft: Subject) -> Control:
    """Who stands in for whom, where the target stops, and how a chat begins."""
    proposed = _paired(draft, target, bridge.tables.draft_to_target)
    shown = _paired(target, draft, bridge.tables.target_to_draft)
    ends = special_tokens.end_ids(target.tokenizer, target.generation)
    proposable = {pair.partner for pair in proposed}
    return Control(
        proposed=proposed,
        shown=shown,
        target_unpaired=len(target.core.special_tokens) - len(shown),
        draft_unpaired=len(draft.core.special_tokens) - len(proposed),
        ends=[target.label(i) for i in ends],
        ends_proposed=[target.label(i) for i in ends if i in proposable],
        target_opening=[target.label(i) for i in prompts.opening(target.tokenizer)],
        draft_opening=[draft.label(i) for i in prompts.opening(draft.tokenizer)],
        chat=_chat(target, draft),
    )


def _paired(one: Subject, other: Subject, table: Ids) -> list[ControlPair]:
    found = []
    for token, content in one.core.special_tokens.items():
        partner = int(table[token])
        if partner >= 0:
            same = other.core.special_tokens.get(partner) == content
            why = "same content" if same else "same role"
            found.append(ControlPair(token, content, partner, other.label(partner), why))  # type: ignore[arg-type]
    return sorted(found, key=lambda pair: pair.why == "same content")


def _chat(target: Subject, draft: Subject) -> Chat:
    prompt, by = _prompt(target)
    draft_prompt, draft_by = _prompt(draft)
    return Chat(prompt, draft_prompt, by, draft_by)


def _prompt(subject: Subject) -> tuple[str, str]:
    """A chat as the tokenizer renders it, and by what."""
    by = (
        "its chat template"
        if getattr(subject.tokenizer, "chat_template", None)
        else "plain text: no template"
    )
    try:
        ids = prompts.render(subject.tokenizer, _CHAT)
    except ArgumentError:
        ids, by = (
            prompts.render_for_draft(subject.tokenizer, _CHAT),
            "plain text: its template refuses a chat",
        )
    return _written_out(subject, ids), by


def _written_out(subject: Subject, ids: list[int]) -> str:
    """Ids as text, with control tokens by their contents."""
    parts, run = [], b""
    for i in ids:
        content = subject.core.special_tokens.get(i) if i < len(subject.core) else subject.label(i)
        if content is None:
            run += subject.core.bytes(i)
            continue
        parts += [_lines(run), content]
        run = b""
    return "".join([*parts, _lines(run)])


def _lines(data: bytes) -> str:
    return visible(data).replace("␣", " ").replace("⏎", "\n")
