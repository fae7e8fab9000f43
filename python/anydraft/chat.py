"""A chat that goes on: what both models have read is kept from turn to turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from anydraft.bridge.prompts import Content, Messages, check_messages
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import Event, Output, collect
from anydraft.decoding.stream import Stream
from anydraft.engine.options import PROMPTS, SamplingKeywords, check_names, kept_stop
from anydraft.errors import ArgumentError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Pair(Protocol):
    """What a conversation needs of :class:`~anydraft.speculator.Speculator`."""

    def stream(
        self, *, messages: Messages, caches: PairCaches, **options: Unpack[SamplingKeywords]
    ) -> Stream:
        """Decode round by round, from ``messages`` and with ``caches``."""


class Conversation:
    """Messages with one pair; every turn feeds each model only what is new in its own rendering of the chat.

    Editing an earlier message rolls both models' caches back to where the chats differ. Make one with
    :meth:`Speculator.chat`. It has one owner: one turn at a time.
    """

    def __init__(
        self, pair: Pair, caches: PairCaches, messages: Messages = (), /, **options: Unpack[SamplingKeywords]
    ) -> None:
        """``caches``: empty ones, for this chat alone. ``options``: those of every turn.

        Raises:
            ArgumentError: ``messages`` that are no list of messages, or options that there are not.
        """
        _check(options)
        if isinstance(messages, Iterable) and not isinstance(messages, (str, bytes, Mapping)):
            messages = list(messages)
        if messages != []:  # a chat may begin empty
            check_messages(messages)
        self._pair = pair
        self._options = options
        if "stop" in options:
            self._options["stop"] = kept_stop(options["stop"])
        self._messages = [dict(message) for message in messages]
        self._caches = caches

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages so far; a copy."""
        return [dict(message) for message in self._messages]

    def add(self, role: str, content: Content | None) -> None:
        """Append a message without an answer, such as a system prompt."""
        self._messages.append({"role": role, "content": content})

    def edit(self, index: int, content: Content | None) -> None:
        """Say message ``index`` differently, and forget those after it.

        Raises:
            ArgumentError: there is no such message.
        """
        if not -len(self._messages) <= index < len(self._messages):
            raise ArgumentError(f"got message {index}; expected one of the {len(self._messages)} there are")
        index %= len(self._messages)
        self._messages[index]["content"] = content
        del self._messages[index + 1 :]

    def say(self, content: Content | None = None, **options: Unpack[SamplingKeywords]) -> Output:
        """Add a user's message, and have it answered; arguments and errors as for :meth:`stream`."""
        stream = self.stream(content, **options)
        return collect(stream, stream.prompt_ids, stream.stats)

    def stream(self, content: Content | None = None, **options: Unpack[SamplingKeywords]) -> Turn:
        """Add a user's message, and answer round by round.

        Without ``content`` the chat as it is gets answered, for example after :meth:`edit`. The answer
        becomes a message when the stream ends; one that is given up leaves the chat as it was before.

        Raises:
            ArgumentError: as for :meth:`Speculator.stream`.
        """
        _check(options)
        asked = [] if content is None else [{"role": "user", "content": content}]
        messages: list[Mapping[str, Any]] = [*self._messages, *asked]
        both: SamplingKeywords = {**self._options, **options}
        stream = self._pair.stream(messages=messages, caches=self._caches, **both)
        return Turn(stream, self, asked)

    def _ended(self, asked: list[dict[str, Any]], answer: str) -> None:
        self._messages += [*asked, {"role": "assistant", "content": answer}]


class Turn(Iterator[Event]):
    """The events of one answer; made by :meth:`Conversation.stream`."""

    def __init__(self, stream: Stream, conversation: Conversation, asked: list[dict[str, Any]]) -> None:
        """Nothing is said yet."""
        self._stream, self._conversation, self._asked = stream, conversation, asked
        self._text = ""
        self.prompt_ids, self.stats = stream.prompt_ids, stream.stats

    def __next__(self) -> Event:
        """Run one round."""
        try:
            event = next(self._stream)
            self._text += event.text
            if event.finish_reason:
                self._conversation._ended(self._asked, self._text)
            return event
        except BaseException:  # an answer that an interrupt has made a hole in is given up
            self._stream.close()
            raise

    def close(self) -> None:
        """Give the answer up, and leave the chat as it was before; after the answer's end nothing happens."""
        self._stream.close()


def _check(options: SamplingKeywords) -> None:
    given = sorted(set(PROMPTS) & set(options))
    if given:
        raise ArgumentError(f"got {', '.join(given)}; expected none: a conversation makes its own prompts")
    check_names(options)
