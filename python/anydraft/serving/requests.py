"""The JSON of a request, checked, as what the engine understands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anydraft.engine.options import SamplingOptions
from anydraft.models.logits import Processor
from anydraft.models.penalties import CountPenalty, LogitBias
from anydraft.proposers.registry import AnyMethod
from anydraft.serving.errors import RequestError
from anydraft.serving.fields import without_unused

Kind = Literal["chat", "text"]

MOST = 20
"""The likeliest tokens that may be asked for at each place."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(_Strict):
    """How a stream is written."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Padding that hides lengths; never sent."""


class Drafting(_Strict):
    """The field ``anydraft``: how the answer is drafted. No text depends on it."""

    method: AnyMethod | None = None


class _Request(_Strict):
    """What both kinds of requests have; ``null`` is as good as nothing."""

    kind: ClassVar[Kind]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    min_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    n: int | None = Field(None, ge=1, le=128)
    stop: Any = None
    """A string or several."""
    seed: int | None = None
    anydraft: Drafting | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The prompt, as :meth:`Engine.prompt` takes it."""
        raise NotImplementedError

    @property
    def most(self) -> int | None:
        """The most tokens of the answer; ``None``: as many as fit."""
        return self.max_tokens

    @property
    def likeliest(self) -> int | None:
        """How many tokens are told of each place, with their logarithms; ``None``: nothing of that."""
        raise NotImplementedError


class ChatRequest(_Request):
    """The body of ``/v1/chat/completions``."""

    kind = "chat"
    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST)

    @property
    def given(self) -> dict[str, Any]:
        """The messages; content in parts of text as one text, which every template takes.

        Raises:
            RequestError: a message without text; only an assistant's may have none.
        """
        return {"messages": [{**message, **_as_text(message)} for message in self.messages]}

    @property
    def most(self) -> int | None:
        """See :class:`_Request`; the newer name goes before."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def likeliest(self) -> int | None:
        """See :class:`_Request`."""
        if self.top_logprobs and not self.logprobs:
            raise RequestError("got top_logprobs without logprobs; expected both", param="top_logprobs")
        return (self.top_logprobs or 0) if self.logprobs else None


class CompletionRequest(_Request):
    """The body of ``/v1/completions``."""

    kind = "text"
    logprobs: int | None = Field(None, ge=0, le=MOST)
    prompt: Any
    """A text or ids of the target; or a list with one of them."""

    @property
    def given(self) -> dict[str, Any]:
        """The one prompt: a text, or ids of the target."""
        prompt = self.prompt
        if isinstance(prompt, list) and len(prompt) > 1 and isinstance(prompt[0], (str, list)):
            raise RequestError(
                f"got {len(prompt)} prompts; expected one. Send a request for each: they share the model's "
                "passes all the same",
                param="prompt",
            )
        if isinstance(prompt, list) and prompt and isinstance(prompt[0], str):
            (prompt,) = prompt
        if not isinstance(prompt, (str, list)):
            raise RequestError(
                f"got a prompt of type {type(prompt).__name__}; expected a text, or a list of ids",
                param="prompt",
            )
        return {"text": prompt} if isinstance(prompt, str) else {"input_ids": prompt}

    @property
    def most(self) -> int | None:
        """See :class:`_Request`; 16 by default, as OpenAI has it."""
        return 16 if self.max_tokens is None else self.max_tokens

    @property
    def likeliest(self) -> int | None:
        """See :class:`_Request`."""
        return self.logprobs


@dataclass(frozen=True)
class Changed:
    """What a request adds to the target's logits before it is sampled from."""

    bias: dict[int, float]
    """By id."""
    presence: float
    frequency: float

    def processors(self, prompt_length: int, size: int) -> list[Processor]:
        """What does so after a prompt of so many tokens, of ``size`` ids.

        Raises:
            RequestError: a bias for an id that there is not.
        """
        if any(token >= size for token in self.bias):
            raise RequestError(
                f"got logit_bias for the token {max(self.bias)}; expected ids from 0 to {size - 1}, those of "
                "the model's tokenizer",
                param="logit_bias",
            )
        made: list[Processor] = [LogitBias(self.bias)] if self.bias else []
        if self.presence or self.frequency:
            made.append(CountPenalty(prompt_length, self.presence, self.frequency))
        return made


@dataclass(frozen=True)
class Wanted:
    """A request that was checked."""

    kind: Kind
    prompt: dict[str, Any]
    most: int | None
    options: SamplingOptions
    """All but the number of tokens, which depends on the prompt's length."""
    changed: Changed
    count: int
    """How many texts are wanted."""
    logprobs: int | None
    """See :attr:`_Request.likeliest`."""
    method: AnyMethod | None
    """``None``: the server's own."""
    stream: bool
    include_usage: bool


def read(body: bytes, kind: type[ChatRequest] | type[CompletionRequest], served: str) -> Wanted:
    """Read a body.

    Raises:
        RequestError: no JSON object, an unknown field, a value of another type or outside its domain, another
            model than ``served``, or something that this server does not offer.
        ArgumentError: a sampling value outside its domain.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"got a body that is no JSON ({error}); expected a JSON object") from error
    if not isinstance(given, dict):
        raise RequestError(f"got JSON of type {type(given).__name__}; expected an object")
    try:
        asked = kind.model_validate(without_unused(given))
    except ValidationError as error:
        raise _told(error) from error
    if asked.model not in (None, served):
        raise RequestError(
            f"got the model {asked.model!r}; expected {served!r}, the one that is served here",
            status=404,
            param="model",
            code="model_not_found",
        )
    if asked.stream_options is not None and not asked.stream:
        raise RequestError("got stream_options without stream; expected both", param="stream_options")
    sampled: dict[str, Any] = {
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "min_p": asked.min_p,
        "repetition_penalty": asked.repetition_penalty,
        "min_new_tokens": asked.min_tokens,
        "seed": asked.seed,
        "stop": () if asked.stop is None else asked.stop,
    }
    return Wanted(
        kind=asked.kind,
        prompt=asked.given,
        most=asked.most,
        options=SamplingOptions(**sampled),
        changed=Changed(
            _bias(asked.logit_bias or {}), asked.presence_penalty or 0.0, asked.frequency_penalty or 0.0
        ),
        count=asked.n or 1,
        logprobs=asked.likeliest,
        method=asked.anydraft.method if asked.anydraft else None,
        stream=bool(asked.stream),
        include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
    )


def _bias(given: dict[str, float]) -> dict[int, float]:
    wrong = [key for key in given if not (key.isascii() and key.isdecimal() and len(key) < 12)]
    if wrong:
        raise RequestError(
            f"got logit_bias for {wrong[0][:20]!r}; expected ids of the model's tokenizer, such as '50'",
            param="logit_bias",
        )
    return {int(key): value for key, value in given.items()}


def _told(error: ValidationError) -> RequestError:
    """The first thing that is wrong, as a sentence."""
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return RequestError(
            f"got the field {field!r}, which this server does not know; leave it out", param=field
        )
    if first["type"] == "missing":
        return RequestError(f"got no {field}; expected one in the JSON object", param=field)
    got = repr(first["input"])
    shown = got if len(got) <= 80 else f"{got[:77]}..."
    return RequestError(f"got {field}={shown}; expected otherwise: {first['msg']}", param=field)


def _as_text(message: dict[str, Any]) -> dict[str, str]:
    """The content of a message that has parts, as one text; nothing to change of any other."""
    parts: object = message.get("content")
    if parts is None and message.get("role") == "assistant":
        return {"content": ""}  # or a template may write "None"
    if parts is None:
        raise RequestError(
            f"got a message of {message.get('role')!r} without content; expected some text", param="messages"
        )
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        return {}
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) < len(parts) or any(not isinstance(text, str) for text in texts):
        raise RequestError(
            "got content with parts that are no text; expected text, or parts such as "
            "{'type': 'text', 'text': 'Hello'}",
            param="messages",
        )
    return {"content": "".join(map(str, texts))}
