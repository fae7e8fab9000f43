"""Control tokens of two tokenizers that mean the same: which ends a text, which ends a turn.

Control tokens stand for no bytes, so they are paired by role. A tokenizer is anything that says what its
control tokens are: one of transformers, a ``tokenizers.Tokenizer`` or a ``tiktoken.Encoding``; the less
it says, the more rests on well-known names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from anydraft.bridge.common import whole
from anydraft.bridge.panics import without_panics
from anydraft.bridge.protocols import TiktokenEncoding, TransformersTokenizer
from anydraft.errors import ArgumentError
from anydraft.loading.chat_templates import require_bounded

Role = Literal["bos", "eos", "start_of_turn", "end_of_turn", "pad", "unk"]
Roles = dict[Role, tuple[int, ...]]

_TEXT_ENDS = (
    "<|endoftext|>", "<|end_of_text|>", "<eos>", "</s>", "<|end▁of▁sentence|>", "<|eos|>", "<|EOS|>", "[EOS]",
    "<EOS_TOKEN>", "<|endofdocument|>", "<|end_of_document|>",
)  # fmt: skip
_TURN_ENDS = (
    "<|im_end|>", "<end_of_turn>", "<turn|>", "<|eot_id|>", "<|eot|>", "<|end|>", "<|return|>", "<|eom_id|>",
    "<|END_OF_TURN_TOKEN|>", "<|end_of_turn|>", "<end_of_utterance>", "[|endofturn|]", "<|assistant_end|>",
)  # fmt: skip
_TURN_STARTS = (
    "<|im_start|>", "<start_of_turn>", "<|turn>", "<|start_header_id|>", "<|header_start|>", "<|start|>",
    "<|START_OF_TURN_TOKEN|>", "<|start_of_role|>",
)  # fmt: skip
_TEXT_STARTS = (
    "<bos>",
    "<s>",
    "<|begin_of_text|>",
    "<|begin▁of▁sentence|>",
    "<|startoftext|>",
    "<BOS_TOKEN>",
)

_PROBE = "6174"


@dataclass(frozen=True)
class RolePairs:
    """Control tokens paired by role, each direction by itself; every id is a key at most once.

    Tokens with equal contents on both sides are left out: they are partners anyway.
    """

    to_target: list[tuple[int, int]] = field(default_factory=list)
    """(draft id, target id): what a drafted control token proposes."""
    to_draft: list[tuple[int, int]] = field(default_factory=list)
    """(target id, draft id): what the draft is shown for a control token of the target."""


def tiktoken_of(tokenizer: object) -> TiktokenEncoding | None:
    """The ``tiktoken.Encoding`` that a tokenizer is or keeps; ``None`` if it has a fast form or no such."""
    if hasattr(tokenizer, "backend_tokenizer"):
        return None
    encoding = getattr(tokenizer, "tokenizer", tokenizer)
    return cast("TiktokenEncoding", encoding) if hasattr(encoding, "_mergeable_ranks") else None


def templated(tokenizer: object) -> TransformersTokenizer | None:
    """The tokenizer, if it has a chat template: only those of transformers do."""
    return cast("TransformersTokenizer", tokenizer) if getattr(tokenizer, "chat_template", None) else None


def control_tokens(tokenizer: object) -> dict[str, int]:
    """All control tokens by content, in ascending order of id."""
    found: dict[str, int] = {}
    plain = getattr(tokenizer, "get_added_tokens_decoder", None)
    added = plain() if callable(plain) else getattr(tokenizer, "added_tokens_decoder", None)
    if added is not None:
        found = {str(token.content): i for i, token in added.items() if token.special}
    encoding = tiktoken_of(tokenizer)
    if encoding is not None:
        found |= encoding._special_tokens
    for role in ("bos", "eos", "pad", "unk"):
        i, content = getattr(tokenizer, f"{role}_token_id", None), getattr(tokenizer, f"{role}_token", None)
        if isinstance(i, int) and content is not None:
            found.setdefault(str(content), i)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def end_ids(tokenizer: object, generation_config: object = None) -> tuple[int, ...]:
    """The ids at which plain decoding stops, most important first.

    Those of the generation config if it has any (one or a list), else the tokenizer's own EOS, else every
    control token with the name of a text's end (a turn's, if there is none).
    """
    configured = _ids(getattr(generation_config, "eos_token_id", None))
    if configured:
        return configured
    own = _ids(getattr(tokenizer, "eos_token_id", None))
    if own:
        return own
    tokens = control_tokens(tokenizer)
    return _named(tokens, _TEXT_ENDS) or _named(tokens, _TURN_ENDS)


def special_roles(tokenizer: object, generation_config: object = None) -> Roles:
    """The ids of every role, most important first; a role that no token has is an empty tuple.

    ``end_of_turn`` is what ends the assistant's message in the tokenizer's own chat template, then the stop
    tokens named like one; the name alone is enough only where a tokenizer says nothing of itself, because
    a base model's vocabulary often has turn tokens that it never learnt. ``eos`` is every other stop token,
    then whatever is named like the end of a text. A token can have both roles (``</s>`` in Mistral's chats).
    """
    tokens = control_tokens(tokenizer)
    ends = end_ids(tokenizer, generation_config)
    silent = getattr(tokenizer, "eos_token_id", None) is None and not getattr(
        tokenizer, "chat_template", None
    )
    named_turns, named_texts = _named(tokens, _TURN_ENDS), _named(tokens, _TEXT_ENDS)
    turn = _unique(_template_end(tokenizer, tokens), (i for i in named_turns if silent or i in ends))
    return {
        "bos": _ids(getattr(tokenizer, "bos_token_id", None)) or _named(tokens, _TEXT_STARTS),
        "eos": _unique((i for i in ends if i in named_texts or i not in turn), named_texts),
        "start_of_turn": _named(tokens, _TURN_STARTS),
        "end_of_turn": turn,
        "pad": _ids(getattr(tokenizer, "pad_token_id", None)),
        "unk": _ids(getattr(tokenizer, "unk_token_id", None)),
    }


def bridge_roles(
    target: object, draft: object, target_generation: object = None, draft_generation: object = None
) -> RolePairs:
    """Pair the control tokens of a target and a draft.

    *Proposing*: an end on the draft's side, of a text or of a turn, proposes a token at which the target
    stops: the one of equal content, else of the same role if the draft tells the two roles apart, else
    the target's first. So whenever the draft wants to end, it proposes an end.

    *Showing*: an end on the target's side is shown as the token of equal content, else of the same role, else
    the draft's other kind of end.

    Starts of a turn, and BOS tokens that are not that too, are paired in both directions; padding and
    unknown are not.
    """
    ours, theirs = _Side(target, target_generation), _Side(draft, draft_generation)
    to_target, to_draft = _proposed(ours, theirs), _shown(ours, theirs)
    same = {i: ours.tokens[content] for content, i in theirs.tokens.items() if content in ours.tokens}
    return RolePairs(
        [(i, j) for i, j in sorted(to_target.items()) if same.get(i) != j],
        [(i, j) for i, j in sorted(to_draft.items()) if i not in same.values()],
    )


class _Side:
    """What one tokenizer says of its control tokens."""

    def __init__(self, tokenizer: object, generation_config: object) -> None:
        self.tokens = control_tokens(tokenizer)
        roles = special_roles(tokenizer, generation_config)
        self.text_ends, self.turn_ends = roles["eos"], roles["end_of_turn"]
        self.turn_starts = roles["start_of_turn"]
        self.text_starts = tuple(i for i in roles["bos"] if i not in self.turn_starts)
        self.stops = _unique(end_ids(tokenizer, generation_config), self.turn_ends)

    def like(self, i: int, other: _Side) -> tuple[int, ...]:
        """The ends of this side that have the role of ``other``'s end ``i``, if that has just one."""
        text, turn = i in other.text_ends, i in other.turn_ends
        return () if text and turn else self.text_ends if text else self.turn_ends


def _proposed(target: _Side, draft: _Side) -> dict[int, int]:
    """Draft id to target id."""
    table = {}
    told_apart = bool(draft.text_ends and draft.turn_ends)
    for content, i in draft.tokens.items():
        if i in draft.text_ends or i in draft.turn_ends:
            by_role = target.like(i, draft) if told_apart else ()
            wanted = (target.tokens.get(content, -1), *by_role, *target.stops)
            stopping = [j for j in wanted if j in target.stops]
            table.update({i: stopping[0]} if stopping else {})
    return table | _starts(draft, target)


def _shown(target: _Side, draft: _Side) -> dict[int, int]:
    """Target id to draft id."""
    table = {}
    for i in (*target.turn_ends, *target.text_ends):
        wanted = (*draft.like(i, target), *draft.turn_ends, *draft.text_ends)
        table.update({i: wanted[0]} if wanted else {})
    return table | _starts(target, draft)


def _starts(source: _Side, sink: _Side) -> dict[int, int]:
    turns = {i: sink.turn_starts[0] for i in source.turn_starts if sink.turn_starts}
    return turns | {i: sink.text_starts[0] for i in source.text_starts if sink.text_starts}


def _template_end(tokenizer: object, tokens: dict[str, int]) -> tuple[int, ...]:
    """The control token right after the assistant's words in the chat template, if there is one."""
    speaks = templated(tokenizer)
    if speaks is None:
        return ()
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
    try:
        with without_panics():
            require_bounded(speaks, chat, prompted=False)
            text: str = speaks.apply_chat_template(chat, tokenize=False)
    except Exception:  # a template is a program of its own, and may raise anything
        return ()
    after = text.rpartition(_PROBE)[2].lstrip()
    found = sorted((c for c in tokens if after.startswith(c)), key=len)
    return (tokens[found[-1]],) if found else ()


def _ids(value: Any) -> tuple[int, ...]:
    """``None``, an id, or several in a list, an array or a tensor."""
    plain = value.tolist() if callable(getattr(value, "tolist", None)) else value
    given = () if plain is None else tuple(plain) if isinstance(plain, Iterable) else (plain,)
    ids = [whole(each) for each in given]
    found = tuple(i for i in ids if i is not None)
    if len(found) < len(ids):
        raise ArgumentError(
            f"got the token ids {value!r}; expected whole numbers, or None where there is none"
        )
    return found


def _named(tokens: dict[str, int], names: Iterable[str]) -> tuple[int, ...]:
    return tuple(tokens[name] for name in names if name in tokens)


def _unique(*groups: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(i for group in groups for i in group))
