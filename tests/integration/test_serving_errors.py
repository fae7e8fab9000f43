"""What a server refuses, and how: a sentence in OpenAI's shape, and the server goes on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

import small
from anydraft.errors import ArgumentError
from anydraft.serving import app
from anydraft.serving.server import bind
from jobs import gated, pair, spoilt
from served import HANG, Served, counted, served, settled, waited

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "The quick"}], "temperature": 0}
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(pair()) as running:
        yield running


def refused(answer: tuple[int, dict[str, str], Any], status: int, *said: str) -> dict[str, Any]:
    assert answer[0] == status, answer
    error: dict[str, Any] = answer[2]["error"]
    assert set(error) == {"message", "type", "param", "code"}
    for part in said:
        assert part in error["message"]
    return error


BODIES: list[tuple[Any, str]] = [
    (b"{", "no JSON"),
    ({**CHAT, "n": 0}, "n=0"),
    ({**CHAT, "n": 73}, "expected 72 at most"),
    ({**CHAT, "best_of": 2}, "n gives several texts"),
    ({**CHAT, "top_logprobs": 3}, "without logprobs"),
    ({**CHAT, "logprobs": True, "top_logprobs": 21}, "top_logprobs=21"),
    ({**CHAT, "frequency_penalty": 2.5}, "frequency_penalty=2.5"),
    ({**CHAT, "logit_bias": {"the": 1}}, "'the'"),
    ({**CHAT, "logit_bias": {"100000": 1}}, "100000"),
    ({**CHAT, "logit_bias": {"5": 101}}, "101"),
    ({**CHAT, "tools": [{"type": "function"}]}, "tools"),
    ({**CHAT, "anydraft": {"method": "slow"}}, "'none'"),
    ({**CHAT, "top_p": 0}, "top_p=0"),
    ({"messages": []}, "messages"),
    ({"messages": [{"content": "no role"}]}, "role"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "surrogate"),
    ({"messages": [{"role": "user", "contents": "Hi"}]}, "'user' without content"),
    ({**CHAT, "top_k": 10**400}, "top_k="),
]


@pytest.mark.parametrize(
    ("body", "said"), BODIES, ids=lambda value: str(value)[-20:].encode("ascii", "replace").decode()
)
@pytest.mark.parametrize("stream", [False, True])
def test_bad_requests_are_told_by_their_status(server: Served, body: Any, said: str, stream: bool) -> None:
    if isinstance(body, dict):
        body = {**body, "stream": stream}
    refused(server.post(PATH, body), 400, said)


def test_a_context_that_is_too_long_is_told_in_numbers(server: Served) -> None:
    long = [{"role": "user", "content": small.TEXT}]
    error = refused(server.post(PATH, {"messages": long}), 400, "512")
    assert error["code"] == "context_length_exceeded"
    read = len(pair().engine.prompt(messages=long).ids)
    refused(server.post(PATH, {"messages": long}), 400, str(read))
    refused(server.post(PATH, {**CHAT, "max_tokens": 511}), 400, "max_tokens=511", "512")
    refused(server.post("/v1/completions", {"prompt": small.TEXT}), 400, str(512))
    refused(server.post("/v1/completions", {"prompt": [10**6]}), 400, "1000000")


def test_other_paths_methods_types_and_sizes(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(server.post("/v1/embeddings", CHAT), 404, "/v1/chat/completions")
    refused(server.post("/v1/models", CHAT), 405)
    refused(server.post(PATH, CHAT, content_type="text/plain"), 415, "text/plain", "application/json")
    assert (
        server.post(PATH, {**CHAT, "max_tokens": 1}, content_type="Application/JSON; charset=utf-8")[0] == 200
    )
    monkeypatch.setattr(app, "LARGEST", 1000)
    refused(server.post(PATH, {**CHAT, "user": "x" * 1000}), 413, "1000")


def test_the_client_knows_the_errors(server: Served) -> None:
    create: Any = server.client().chat.completions.create
    with pytest.raises(openai.BadRequestError, match="max_tokens=0"):
        create(model="model", **CHAT, max_tokens=0)
    with pytest.raises(openai.NotFoundError, match="'model'"):
        create(model="gpt", **CHAT)
    with pytest.raises(openai.NotFoundError):
        server.client().models.retrieve("gpt/other")


def test_a_key_is_asked_for_where_there_is_one() -> None:
    with served(pair(), api_key="sésame") as server:
        refused(server.post(PATH, CHAT), 401, "API key")
        with pytest.raises(openai.AuthenticationError):
            server.client("other").models.list()
        header = "Bearer sésame".encode().decode("latin-1")
        assert server.post(PATH, {**CHAT, "max_tokens": 1}, Authorization=header)[0] == 200
        assert server.get("/health")[0] == server.get("/metrics")[0] == 200


def test_a_full_queue_says_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        served(pair(), max_batch=1, max_queue=1) as server,
        ThreadPoolExecutor(2) as threads,
        gated(monkeypatch) as gate,
    ):
        taken = [threads.submit(server.post, PATH, {**CHAT, "max_tokens": 2}) for _ in range(2)]
        assert waited(lambda: server.service.scheduler.running + server.service.scheduler.waiting == 2)
        status, headers, answer = server.post(PATH, CHAT)
        assert (status, headers["retry-after"], answer["error"]["code"]) == (503, "1", "overloaded")
        for _ in range(9):
            gate.release()
        assert [one.result(HANG)[0] for one in taken] == [200, 200]


def test_a_model_that_fails_is_told_and_the_server_goes_on() -> None:
    made = pair(weights="model")

    def spoil(ids: Any, _: Any) -> bool:
        if broken:
            raise RuntimeError("no memory")
        return False

    with spoilt(made.engine.models[0], spoil), served(made) as server:
        broken = True
        for stream in (False, True):
            error = refused(server.post(PATH, {**CHAT, "stream": stream}), 500, "no memory", "goes on")
            assert error["type"] == "server_error"
        broken = False
        assert server.post(PATH, {**CHAT, "max_tokens": 2})[0] == 200
        assert counted(server, 'anydraft_requests_total{outcome="failed"}') == 2


def test_a_failure_amid_a_stream_is_its_last_part() -> None:
    made = pair(weights="model")
    passes: list[int] = []

    def spoil(ids: Any, _: Any) -> bool:
        passes.append(1)
        if len(passes) > 5:
            raise RuntimeError("no memory")
        return False

    body: dict[str, Any] = {
        **CHAT,
        "model": "model",
        "max_tokens": 50,
        "extra_body": {"anydraft": {"method": "none"}},
    }
    with spoilt(made.engine.models[0], spoil), served(made) as server:
        passes.clear()
        said: list[Any] = []
        stream: Any = server.client().chat.completions.create(stream=True, **body)
        with pytest.raises(openai.APIError, match="no memory"):
            said.extend(stream)
        assert len(said) > 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("place", ["running", "waiting"])
def test_a_client_that_goes_away_ends_its_row(
    stream: bool, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(pair(), max_batch=1) as server, gated(monkeypatch) as gate:
        scheduler = server.service.scheduler
        bodies = [{**CHAT, "max_tokens": 400, "stream": stream, "anydraft": {"method": "none"}}] * 2
        connections = []
        for body in bodies if place == "waiting" else bodies[:1]:
            connections.append(http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANG))
            connections[-1].request("POST", PATH, json.dumps(body), {"Content-Type": "application/json"})
            assert waited(lambda: scheduler.running + scheduler.waiting == len(connections))
        for _ in range(3):
            gate.release()
        if stream and place == "running":
            assert connections[0].getresponse().readline().startswith(b"data: ")
        connections[-1].close()
        if place == "waiting":
            connections[0].close()
        for _ in range(100):
            gate.release()
        assert settled(server, "abandoned", len(connections))
        assert (scheduler.running, scheduler.waiting) == (0, 0)
        assert counted(server, "anydraft_tokens_total") < 200


def test_a_client_that_leaves_before_its_request_is_whole(caplog: pytest.LogCaptureFixture) -> None:
    with served(pair()) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANG)
        connection.putrequest("POST", PATH)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", "1000")):
            connection.putheader(name, value)
        connection.endheaders(b'{"messages": [')
        connection.close()
        assert settled(server, "abandoned", 1)
    assert not caplog.records


def test_an_address_that_cannot_be_bound_is_one_sentence() -> None:
    taken = bind("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(ArgumentError, match="free port"):
        bind("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ArgumentError, match=r"192\.0\.2\.1"):
        bind("192.0.2.1", 0)
    taken.close()
