"""A pair behind a server of this process, the official client for it, and bare requests."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai

import anydraft
from anydraft.serving.server import Server, bind
from anydraft.serving.service import Service

HANG = 60
"""Seconds after which a test that waits has failed."""


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    port: int
    service: Service

    def client(self, key: str = "none") -> openai.OpenAI:
        """OpenAI's own client; it does not try again."""
        return openai.OpenAI(
            base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, timeout=HANG, max_retries=0
        )

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of a bare request; ``body`` is sent as it is if it is bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, data, sent)
        answer = connection.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(answer.read())
        connection.close()
        return found

    def get(self, path: str) -> tuple[int, str]:
        """Status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found


@contextmanager
def served(
    pair: anydraft.Speculator, *, api_key: str | None = None, max_batch: int = 8, max_queue: int = 64
) -> Iterator[Served]:
    """Serve a pair as ``model``; at the end nothing of it runs any more."""
    service = Service(pair, "model", max_batch=max_batch, max_queue=max_queue)
    ready, bound = threading.Event(), bind("127.0.0.1", 0)
    server = Server(service, api_key, ready.set)
    thread = threading.Thread(target=server.serve_at, args=(bound,), daemon=True)
    thread.start()
    try:
        assert ready.wait(HANG)
        yield Served(bound.getsockname()[1], service)
    finally:
        server.should_exit = True
        thread.join(HANG)
        assert not thread.is_alive()


def settled(served: Served, outcome: str, count: int) -> bool:
    """Wait until so many requests are over with an outcome; whether they are."""
    return waited(lambda: counted(served, f'anydraft_requests_total{{outcome="{outcome}"}}') >= count)


def counted(served: Served, name: str) -> float:
    """A number of ``/metrics``; 0 if it is not there."""
    lines = served.get("/metrics")[1].splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def waited(holds: Any) -> bool:
    """Wait for something that another thread does."""
    for _ in range(HANG * 50):
        if holds():
            return True
        threading.Event().wait(0.02)
    return False
