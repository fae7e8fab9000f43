"""Counters of a server, as Prometheus reads them."""

from __future__ import annotations

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from anydraft.decoding.stats import Stats
from anydraft.serving.scheduler import Scheduler

Outcome = Literal["finished", "refused", "failed", "abandoned"]
TYPE = CONTENT_TYPE_LATEST

COUNTED = {
    "target_passes": "Passes of the target in which requests took part, one for each request",
    "draft_passes": "Passes of the draft in which requests took part, one for each request",
    "drafted": "Draft tokens drawn",
    "proposed": "Target tokens proposed: of a line, or along the longest path of a tree",
    "accepted": "Proposed tokens that were emitted",
    "looked_up": "Accepted tokens that the text itself proposed",
    "tokens": "Tokens emitted",
}
"""Of :class:`~anydraft.Stats`, what is added up over all requests."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """What is shown at ``/metrics``. Requests are counted when they are over."""

    def __init__(self) -> None:
        """A registry of their own: several servers of a process do not mix."""
        own = self._registry = CollectorRegistry()
        self._requests = Counter("anydraft_requests", "Requests, by outcome", ["outcome"], registry=own)
        self._read = Counter("anydraft_prompt_tokens", "Tokens of prompts", registry=own)
        self._counts = {
            name: Counter(f"anydraft_{name}", said, registry=own) for name, said in COUNTED.items()
        }
        self._first = Histogram(
            "anydraft_first_token_seconds",
            "Seconds from a request to its first token",
            buckets=_SECONDS,
            registry=own,
        )
        self._whole = Histogram(
            "anydraft_request_seconds", "Seconds from a request to its end", buckets=_SECONDS, registry=own
        )
        self._running = Gauge("anydraft_requests_running", "Requests in the batch", registry=own)
        self._waiting = Gauge("anydraft_requests_waiting", "Requests in the queue", registry=own)

    def watch(self, scheduler: Scheduler) -> None:
        """Whose requests are running and waiting."""
        self._running.set_function(lambda: scheduler.running)
        self._waiting.set_function(lambda: scheduler.waiting)

    def began(self, seconds: float) -> None:
        """A request has its first token."""
        self._first.observe(seconds)

    def unserved(self, outcome: Outcome) -> None:
        """A request is over that got no place."""
        self._requests.labels(outcome).inc()

    def ended(self, outcome: Outcome, prompt: int, seconds: float, stats: Stats | None) -> None:
        """A request is over: what it counted, if it had a place."""
        self._requests.labels(outcome).inc()
        self._whole.observe(seconds)
        if stats is not None:
            self._read.inc(prompt)
            for name, counter in self._counts.items():
                counter.inc(getattr(stats, name))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
