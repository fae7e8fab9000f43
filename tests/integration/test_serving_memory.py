"""Many requests of all kinds in one process: memory stays flat."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import anydraft
import small
from resident import resident, told
from served import HANG, Served, counted, served, waited

PATH = "/v1/chat/completions"
TEXTS = ["The quick", "Ça va", "12345 67", "def fib(n):", small.TEXT[:200]]
KINDS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}},
    {"temperature": 0.9, "seed": 7},
    {"temperature": 0.8, "top_p": 0.9, "stop": ["the"], "anydraft": {"method": "slrs"}},
    {"temperature": 0, "anydraft": {"method": "none"}},
    {"temperature": 0, "repetition_penalty": 1.2},
    {"n": 3, "logprobs": True, "top_logprobs": 2},
    {"temperature": 0.7, "presence_penalty": 0.5, "logit_bias": {"5": -100}},
    {"tools": [{"type": "function"}]},
]


def one(server: Served, i: int) -> None:
    """A request; of every eleventh the client goes away."""
    asked = [{"role": "user", "content": TEXTS[i % len(TEXTS)]}]
    body = {"messages": asked, "max_tokens": 4 + i % 9, **KINDS[i % len(KINDS)]}
    leaves = i % 11 == 0
    if leaves:
        body["max_tokens"] = 300
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=HANG)
    connection.request("POST", PATH, json.dumps(body), {"Content-Type": "application/json"})
    if not leaves:
        connection.getresponse().read()
    connection.close()


def test_a_seed_repeats_whatever_the_memory_has() -> None:
    body = {"messages": [{"role": "user", "content": "The quick"}], "temperature": 0.9, "seed": 7}
    with served(small.speculator(memory=anydraft.Memory())) as server:
        texts = [server.post(PATH, {**body, "max_tokens": 24})[2]["choices"][0]["message"] for _ in range(3)]
    assert texts == texts[:1] * 3


@told
@pytest.mark.parametrize(
    ("requests", "growth"),
    [(120, 0.02), pytest.param(1000, 0.01, marks=pytest.mark.sweep)],
)
def test_requests_leave_no_trace(requests: int, growth: float) -> None:
    with served(small.speculator(num_draft_tokens="auto"), max_batch=4) as server:
        scheduler = server.service.scheduler
        pages = []
        with ThreadPoolExecutor(4) as threads:
            for start in range(0, 2 * requests, requests):
                list(threads.map(lambda i: one(server, i), range(start, start + requests)))
                assert waited(lambda: scheduler.running + scheduler.waiting == 0)
                pages.append(resident())
        outcomes = {
            name: counted(server, f'anydraft_requests_total{{outcome="{name}"}}')
            for name in ("finished", "refused", "abandoned", "failed")
        }
        print(pages, outcomes)
    assert outcomes["failed"] == 0
    assert min(outcomes["finished"], outcomes["refused"], outcomes["abandoned"]) > 0
    texts = sum(KINDS[i % len(KINDS)].get("n", 1) for i in range(2 * requests))
    # Who leaves before it has a place counts once, however many texts were asked for.
    assert 2 * requests <= sum(outcomes.values()) <= texts
    assert pages[1] < pages[0] * (1 + growth)
