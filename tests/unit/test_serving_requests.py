"""Bodies of requests: what is read, what is ignored, and what is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anydraft.errors import ArgumentError
from anydraft.serving.errors import RequestError, as_request_error
from anydraft.serving.fields import IGNORED, NEUTRAL
from anydraft.serving.requests import ChatRequest, CompletionRequest, Wanted, read

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
TEXT: dict[str, Any] = {"model": "m", "prompt": "Hello"}


def chat(**fields: Any) -> Wanted:
    return read(json.dumps({**CHAT, **fields}).encode(), ChatRequest, "m")


def text(**fields: Any) -> Wanted:
    return read(json.dumps({**TEXT, **fields}).encode(), CompletionRequest, "m")


def refused(call: Any, **fields: Any) -> RequestError:
    with pytest.raises((RequestError, ArgumentError)) as caught:
        call(**fields)
    return as_request_error(caught.value)


def test_what_is_not_said_is_as_openai_has_it() -> None:
    wanted = chat()
    assert (wanted.options.temperature, wanted.options.top_p, wanted.options.seed) == (1.0, None, None)
    assert (wanted.most, wanted.method, wanted.stream, wanted.include_usage) == (None, None, False, False)
    assert text().most == 16


def test_null_is_as_good_as_nothing() -> None:
    names = [*ChatRequest.model_fields, *NEUTRAL, *IGNORED]
    assert chat(**dict.fromkeys(set(names) - {"messages", "model"})) == chat()


def test_sampling_fields_reach_the_options() -> None:
    given = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.2, "seed": 3}
    options = chat(**given, stop=["a", "b"], min_tokens=2).options
    assert {name: getattr(options, name) for name in given} == given
    assert (options.stop, options.min_new_tokens) == (("a", "b"), 2)
    assert chat(stop="a").options.stop == "a"
    assert chat(temperature=1).options.temperature == 1


def test_lengths() -> None:
    assert chat(max_tokens=3).most == 3
    assert chat(max_tokens=3, max_completion_tokens=5).most == 5
    assert text(max_tokens=3).most == 3


def test_a_method_is_named_in_a_field_of_our_own() -> None:
    assert chat(anydraft={"method": "none"}).method == "none"
    assert chat(anydraft={}).method is None
    said = str(refused(chat, anydraft={"method": "slow"}))
    assert "slow" in said
    assert "'none'" in said
    assert "anydraft.speed" in str(refused(chat, anydraft={"speed": 9}))


def test_content_in_parts_of_text_is_one_text() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    assert chat(messages=[{"role": "user", "content": parts}]).prompt == chat().prompt
    image = [{"type": "image_url", "image_url": {"url": "data:"}}]
    assert refused(chat, messages=[{"role": "user", "content": image}]).param == "messages"


def test_a_prompt_is_a_text_or_ids() -> None:
    assert text().prompt == text(prompt=["Hello"]).prompt == {"text": "Hello"}
    assert text(prompt=[1, 2]).prompt == {"input_ids": [1, 2]}
    assert text(prompt=[[1, 2]]).prompt == {"input_ids": [[1, 2]]}  # which the engine takes for one too
    assert refused(text, prompt=3).param == "prompt"
    assert "2 prompts" in str(refused(text, prompt=["a", "b"]))
    assert "2 prompts" in str(refused(text, prompt=[[1], [2]]))


@pytest.mark.parametrize("name", sorted(IGNORED))
def test_harmless_fields_are_taken(name: str) -> None:
    assert chat(**{name: {"any": "thing"}}) == chat()


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_fields_that_would_change_the_text_are_refused_by_name(name: str) -> None:
    for neutral in NEUTRAL[name]:
        assert chat(**{name: neutral}) == chat()
    error = refused(chat, **{name: ["something"]})
    assert (error.status, error.param, error.code) == (400, name, "unsupported_parameter")
    assert name in str(error)


BAD = [
    ({"temperature": -1}, "temperature=-1"),
    ({"temperature": "hot"}, "temperature='hot'"),
    ({"temperature": True}, "temperature=True"),
    ({"top_p": 7}, "top_p=7"),
    ({"max_tokens": 0}, "max_tokens=0"),
    ({"max_tokens": 1.5}, "max_tokens=1.5"),
    ({"seed": "one"}, "seed='one'"),
    ({"stop": ""}, "stop="),
    ({"stop": [1]}, "stop"),
    ({"stream": "yes"}, "stream='yes'"),
    ({"stream_options": {"include_usage": True}}, "stream_options without stream"),
    ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
    ({"messages": "Hello"}, "messages='Hello'"),
    ({"temprature": 1}, "temprature"),
    ({"temprature\ud800": 1}, "temprature"),
]


@pytest.mark.parametrize(
    ("fields", "said"), BAD, ids=lambda value: str(value)[:30].encode("ascii", "replace").decode()
)
def test_a_mistake_is_one_sentence_that_names_the_field(fields: dict[str, Any], said: str) -> None:
    error = refused(chat, **fields)
    assert error.status == 400
    assert said in str(error)
    assert "\n" not in str(error)
    json.dumps(error.body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[]", b"3", b"{}", b"[" * 100_000, b'{"messages": NaN}']
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read(body, ChatRequest, "m")
    assert caught.value.status == 400


def test_another_model_is_not_found() -> None:
    error = refused(chat, model="gpt")
    assert (error.status, error.code) == (404, "model_not_found")
    assert "'m'" in str(error)
    body = {"messages": CHAT["messages"]}
    assert read(json.dumps(body).encode(), ChatRequest, "m") == chat()
