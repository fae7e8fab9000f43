"""Prompts as ids, each tokenizer in its own way: its chat template, its BOS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

from anydraft.bridge.common import whole
from anydraft.bridge.panics import without_panics
from anydraft.bridge.protocols import AnyTokenizer, Backend
from anydraft.bridge.special_tokens import control_tokens, special_roles, templated, tiktoken_of
from anydraft.bridge.text import utf8
from anydraft.errors import ArgumentError
from anydraft.loading.chat_templates import require_bounded

Content: TypeAlias = str | Sequence[Mapping[str, Any]]
"""What a message says: text, or parts such as ``{"type": "text", "text": ...}``."""

Messages = Sequence[Mapping[str, Any]]
"""A chat: ``{"role": ..., "content": ...}`` in order, in any form that the chat template takes."""


@runtime_checkable
class Listable(Protocol):
    """An array or a tensor."""

    def tolist(self) -> Any:
        """Its numbers as a list."""


_PICTURES = {"image", "image_url", "video", "video_url", "audio", "audio_url", "input_audio"}
"""Kinds of parts of a message that ids alone cannot stand for."""

Setting: TypeAlias = Mapping[str, Any] | None
"""How a tokenizer cuts texts, or fills them up, if it does."""

Ids: TypeAlias = Sequence[int] | Sequence[Sequence[int]] | Listable
"""Ids ``[n]`` or ``[1, n]``: a list, an array or a tensor."""


class Prompt(NamedTuple):
    """What a decode begins with."""

    ids: list[int]
    """Target ids."""
    view: list[int]
    """What the draft is shown first: its own rendering of a chat, or what it puts before any text."""
    shared: list[int]
    """Target ids that the draft is shown after that, as its own tokenizer writes them."""


def check_one(**given: object) -> None:
    """Raise :class:`ArgumentError` unless just one of the prompts given by name is not ``None``."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        got = " and ".join(names) or "no prompt"
        raise ArgumentError(f"got {got}; expected one of prompt, messages, input_ids, inputs")


def plain_ids(input_ids: Ids, size: int) -> list[int]:
    """A list, an array or a tensor of target ids, ``[n]`` or ``[1, n]``, as a list."""
    given = input_ids.tolist() if isinstance(input_ids, Listable) else input_ids
    ids: list[Any] = list(given) if isinstance(given, Sequence) else [given]
    if len(ids) == 1 and isinstance(ids[0], (list, tuple)):
        ids = list(ids[0])
    if not ids:
        raise ArgumentError("got no input_ids; expected at least one target id")
    found = [whole(token) for token in ids]
    for token, i in zip(ids, found, strict=True):
        if i is None or not 0 <= i < size:
            raise ArgumentError(
                f"got {token!r} in input_ids; expected one sequence of target ids from 0 to {size - 1}"
            )
    return [i for i in found if i is not None]


def encode_prompt(tokenizer: AnyTokenizer, text: str) -> list[int]:
    """The ids of a plain prompt, with the control tokens that the tokenizer itself puts around a text (BOS).

    A control token that is written out in ``text`` becomes that token, as in transformers. An empty text
    gives what the tokenizer starts a text with, else its BOS.

    Raises:
        ArgumentError: ``text`` is no string, or empty where the tokenizer has no BOS to start from.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"got a prompt of type {type(text).__name__}; expected a string")
    utf8(text, "a prompt")
    ids = _encode(tokenizer, text)
    if ids:
        return ids
    bos = special_roles(tokenizer)["bos"]
    if not bos:
        raise ArgumentError(
            "got an empty prompt; expected some text, because this tokenizer has no BOS token to start from"
        )
    return [bos[0]]


def opening(tokenizer: AnyTokenizer) -> list[int]:
    """The control tokens that the tokenizer itself puts before any text (a BOS, or nothing)."""
    control = set(control_tokens(tokenizer).values())
    return list(takewhile(control.__contains__, _encode(tokenizer, "a")))


def render(tokenizer: AnyTokenizer, messages: Messages) -> list[int]:
    """The ids of a chat, up to where the assistant's next message begins.

    By the tokenizer's own chat template where it has one, else as plain text: each message is its role and
    a colon, a line break, its content and an empty line; last comes ``assistant:`` and a line break.

    Raises:
        ArgumentError: no messages, a message without a role or with a picture, or a chat that the template
            refuses; without a template also content that is not text.
    """
    check_messages(messages)
    _refuse_pictures(messages)
    speaks = templated(tokenizer)
    if speaks is None:
        return _transcript(tokenizer, messages)
    chat = [{**message, "role": _role(speaks, message["role"])} for message in messages]
    try:
        with _unchanged(tokenizer), without_panics():
            require_bounded(speaks, chat, prompted=True)
            ids = speaks.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=True, return_dict=False
            )
    except Exception as error:  # a template is a program of its own, and may raise anything
        raise ArgumentError(
            f"got a chat that the tokenizer's chat template refuses ({type(error).__name__}: {error}); "
            "expected roles and content as this template takes them"
        ) from error
    return list(ids)


def render_for_draft(tokenizer: AnyTokenizer, messages: Messages) -> list[int]:
    """As :func:`render`, with content in parts as one text: many templates take nothing else.

    A chat that the template refuses becomes plain text, without what is not text: a draft may read anything.
    """
    check_messages(messages)
    plain = [{**message, "content": _text(message) or ""} for message in messages]
    try:
        return render(tokenizer, plain)
    except ArgumentError:
        return _transcript(tokenizer, plain)


def _role(speaks: object, role: object) -> object:
    """A role as the template knows it: what OpenAI calls developer most call system, and would leave out."""
    if role == "developer" and "developer" not in str(getattr(speaks, "chat_template", None)):
        return "system"
    return role


def _transcript(tokenizer: AnyTokenizer, messages: Messages) -> list[int]:
    said = ""
    for message in messages:
        text = _text(message)
        if text is None:
            raise ArgumentError(
                f"got the message {message!r} for a tokenizer without a chat template; expected content that "
                "is text"
            )
        said += f"{message['role']}:\n{text}\n\n"
    return encode_prompt(tokenizer, f"{said}assistant:\n")


def _text(message: Mapping[str, Any]) -> str | None:
    """The text of a message: its content, or that of its parts; ``None`` if it has other content or none."""
    if "content" not in message:
        return None
    content = message["content"]
    if content is None or isinstance(content, str):
        return content or ""
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
    return None if any(not isinstance(text, str) for text in texts) else "".join(map(str, texts))


def _encode(tokenizer: AnyTokenizer, text: str) -> list[int]:
    with without_panics():
        return _encoded(tokenizer, text)


def _encoded(tokenizer: AnyTokenizer, text: str) -> list[int]:
    if callable(tokenizer):  # one of transformers, fast or slow
        with _unchanged(tokenizer):
            return list(tokenizer(text, verbose=False)["input_ids"])
    encoding = tiktoken_of(tokenizer)
    if encoding is not None:
        return list(encoding.encode(text, allowed_special="all"))
    backend = cast("Backend", tokenizer)
    with _untrimmed(backend):
        return list(backend.encode(text).ids)


def check_messages(messages: Messages) -> None:
    """Raise :class:`ArgumentError` for what is no chat that a template can be given."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise ArgumentError(
            f"got messages={messages!r}; expected a list such as [{{'role': 'user', 'content': 'Hello'}}]"
        )
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise ArgumentError(
                f"got the message {message!r}; expected a dictionary with a 'role' and a 'content', such as "
                "{'role': 'user', 'content': 'Hello'}"
            )
        content = message.get("content")
        if not (content is None or isinstance(content, (str, list, tuple))):
            raise ArgumentError(
                f"got a message with content of type {type(content).__name__}; expected text, parts such as "
                "[{'type': 'text', 'text': 'Hello'}], or None"
            )
        for text in _strings(message):
            utf8(text, "a message")


def _refuse_pictures(messages: Messages) -> None:
    """A tokenizer would write a placeholder, which the target would read as a word."""
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, (list, tuple)) else ()
        kinds = [part.get("type") for part in parts if isinstance(part, Mapping)]
        found = sorted({str(kind) for kind in kinds} & _PICTURES)
        if found:
            raise ArgumentError(
                f"got a message with {', '.join(found)}; expected text. For pictures or sounds give inputs=: "
                "what the target's processor.apply_chat_template(..., tokenize=True, return_dict=True, "
                "return_tensors='pt') makes of the chat"
            )


def _strings(value: object) -> Iterator[str]:
    """All text in a message, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)


@contextmanager
def _unchanged(tokenizer: object) -> Iterator[None]:
    """Undo what a call of a transformers tokenizer does to the truncation and padding it was given with."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        yield
        return
    truncation, padding = backend.truncation, backend.padding
    try:
        yield
    finally:
        _restore(backend, truncation, padding)


@contextmanager
def _untrimmed(backend: Backend) -> Iterator[None]:
    """No truncation and no padding inside the block."""
    truncation, padding = backend.truncation, backend.padding
    if truncation is None and padding is None:
        yield
        return
    try:
        backend.no_truncation()
        backend.no_padding()
        yield
    finally:
        _restore(backend, truncation, padding)


def _restore(backend: Backend, truncation: Setting, padding: Setting) -> None:
    if backend.truncation != truncation:
        backend.enable_truncation(**truncation) if truncation else backend.no_truncation()
    if backend.padding != padding:
        backend.enable_padding(**padding) if padding else backend.no_padding()
