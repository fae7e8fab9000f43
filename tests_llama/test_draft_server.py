"""``anydraft.LlamaDraft`` where others call the Llama: function calls, formats, llama-cpp-python's server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llama_cpp.server import model as server_model
from llama_cpp.server.app import create_app
from llama_cpp.server.settings import ModelSettings, ServerSettings
from starlette.testclient import TestClient

import anydraft
from anydraft.integrations.vllm.drafter import Drafter
from anydraft.scheduling.directors import Choice
from files import file, opened

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
            "required": ["city", "unit"],
        },
    },
}
ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is the weather in Paris, in celsius?"}],
    "max_tokens": 40,
    "temperature": 0.0,
}
CHOSEN: dict[str, Any] = {
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
FORMAT = {"response_format": {"type": "json_object", "schema": PERSON}}
GRAMMAR = 'root ::= [a-z]+ ", " [a-z]+ "."'


@pytest.fixture(autouse=True)
def drafts_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drafter, "_choose", lambda self, *_: Choice("slem", self._most_tokens))


@pytest.mark.parametrize("chat_format", [None, "chatml-function-calling"])
def test_function_calls_and_formats_are_those_without_it(chat_format: str | None) -> None:
    draft = anydraft.LlamaDraft()
    with_it = opened(logits_all=True, draft_model=draft, n_ctx=1024, chat_format=chat_format)
    plain = opened(logits_all=True, n_ctx=1024, chat_format=chat_format)
    for fields in (CHOSEN, FORMAT):
        ours, theirs = (
            llama.create_chat_completion(**ASKED, **fields)["choices"][0] for llama in (with_it, plain)
        )
        assert {**ours["message"], "tool_calls": None} == {**theirs["message"], "tool_calls": None}
        assert calls(ours) == calls(theirs)
        if fields is CHOSEN:
            ((name, arguments),) = calls(ours)
            assert name == "get_weather"
            assert arguments.startswith("{")
        else:
            assert ours["message"]["content"].startswith("{")
    assert draft.counts.accepted > 2


def calls(choice: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and arguments of its tool calls; their ids are drawn."""
    told = choice["message"].get("tool_calls") or []
    return [(call["function"]["name"], call["function"]["arguments"]) for call in told]


@contextmanager
def server(*, drafted: bool) -> Iterator[TestClient]:
    """llama-cpp-python's own server."""
    model = ModelSettings(
        model=str(file()),
        model_alias="big",
        n_ctx=512,
        n_threads=1,
        n_threads_batch=1,
        flash_attn=True,
        logits_all=True,
        verbose=False,
        draft_model="prompt-lookup-decoding" if drafted else None,
        draft_model_num_pred_tokens=5,
    )
    with TestClient(create_app(server_settings=ServerSettings(), model_settings=[model])) as client:
        yield client


def test_its_server_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server makes the class that it knows for its setting ``draft_model``: see docs/llama-cpp.md."""
    made: list[anydraft.LlamaDraft] = []

    def draft(num_pred_tokens: int) -> anydraft.LlamaDraft:
        made.append(anydraft.LlamaDraft("tiny", num_draft_tokens=num_pred_tokens))
        return made[-1]

    monkeypatch.setattr(server_model.llama_speculative, "LlamaPromptLookupDecoding", draft)
    found = []
    for drafted in (True, False):
        with server(drafted=drafted) as client:
            found.append(list(answers(client)))
    assert found[0] == found[1]
    assert all(found[0])
    (used,) = made
    assert used.counts.accepted > 10


def answers(client: TestClient) -> Iterator[Any]:
    """Chats, texts, a grammar, a function call, a stream."""
    path = "/v1/chat/completions"
    for fields in ({}, CHOSEN, FORMAT, {"grammar": GRAMMAR}):
        answer = client.post(path, json={"model": "big", **ASKED, **fields})
        assert answer.status_code == 200, answer.text
        choice = answer.json()["choices"][0]
        yield choice["message"]["content"], calls(choice)
    streamed = client.post(path, json={"model": "big", **ASKED, "stream": True}).text
    parts = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    yield "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
    text = {"model": "big", "prompt": "def fib(n):", "max_tokens": 24, "temperature": 0.0}
    yield client.post("/v1/completions", json=text).json()["choices"][0]["text"]
