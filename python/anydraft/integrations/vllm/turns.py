"""A chat read back from a prompt's ids, so that a draft can have it in its own template."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anydraft.bridge import prompts
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.bridge.special_tokens import Roles

Opening = Callable[[list[int]], tuple[list[int], list[int]]]
"""A prompt's target ids to the draft's view: its own rendering, and target ids that it reads after that."""

_ASSISTANT = ("assistant", "model")
"""What templates call the side that is to speak."""


def opening_of(
    draft: AnyTokenizer, rows: int, roles: Roles | None, decode: Callable[[list[int]], bytes]
) -> Opening:
    """What a draft with this tokenizer is shown of a prompt: a chat in its own template, if it has one.

    ``rows``: how many ids it reads; ``roles`` are those of the target's tokenizer, ``None`` if chats are read
    as they are; ``decode``: the target's ids to bytes.
    """

    def read(ids: Sequence[int]) -> list[int]:
        return [token for token in ids if token < rows]

    before = read(prompts.opening(draft))
    retells = roles is not None and bool(getattr(draft, "chat_template", None))

    def opening(ids: list[int]) -> tuple[list[int], list[int]]:
        messages = messages_of(ids, roles, decode) if retells and roles is not None else None
        if messages is None:
            return list(before), ids
        return read(prompts.render_for_draft(draft, messages)), []

    return opening


def messages_of(
    ids: Sequence[int], roles: Roles, decode: Callable[[list[int]], bytes]
) -> list[dict[str, str]] | None:
    """The messages of a prompt of the form *start, role, line break, content, end* that ends where the
    assistant is to speak; ``None`` if it is anything else.

    ``roles`` are those of the tokenizer the prompt is written in, ``decode`` its ids to bytes.
    """
    starts, ends = set(roles["start_of_turn"]), set(roles["end_of_turn"])
    if not starts or not ends:
        return None
    turns: list[list[int]] = []
    closed = True
    for token in ids:
        if token in starts:
            if not closed:
                return None
            turns.append([])
            closed = False
        elif token in ends:
            if closed:
                return None
            closed = True
        elif not closed:
            turns[-1].append(token)
    if closed or not turns:
        return None
    found = []
    for turn in turns:
        role, line, content = decode(turn).decode(errors="replace").partition("\n")
        found.append(
            {"role": "assistant" if role.strip() in _ASSISTANT else role.strip(), "content": content}
        )
        if not line or not found[-1]["role"]:
            return None
    last = found.pop()
    if last["role"] != "assistant" or last["content"].strip() or not found:
        return None
    return found
