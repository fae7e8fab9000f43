"""Jobs for a scheduler, without a server around it."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

import anydraft
import trained
from anydraft.decoding.events import Event
from anydraft.engine.options import SamplingOptions
from anydraft.serving import scheduler as module
from anydraft.serving.job import Job
from anydraft.serving.scheduler import Scheduler

HANG = 60
"""Seconds after which a test that waits has failed."""


class Asked:
    """A job, and what it says."""

    def __init__(self, pair: anydraft.Speculator, prompt: str, method: Any = None, **options: Any) -> None:
        options.setdefault("max_new_tokens", 24)
        self.said: queue.Queue[Event | Exception] = queue.Queue()
        self.job = Job(pair.engine.prompt(prompt), SamplingOptions(**options), method, self.said.put)
        self.events: list[Event] = []

    def next(self) -> Event:
        """The next event; an error is raised."""
        said = self.said.get(timeout=HANG)
        if isinstance(said, Exception):
            raise said
        self.events.append(said)
        return said

    def text(self) -> str:
        """All of it, up to the end."""
        while not (self.events and self.events[-1].finish_reason):
            self.next()
        return "".join(event.text for event in self.events)


PROMPTS = ["The quick", "Ça va", "12345 67", "def fib(n):", "The dog", "return"]
LENGTHS = [30, 7, 22, 1, 40, 13]


def pair(**options: Any) -> anydraft.Speculator:
    """A trained pair with models of its own: some tests give them hooks."""
    target, draft, *tokenizers = trained.pair()
    options.setdefault("num_draft_tokens", 5)
    return anydraft.Speculator(copy.deepcopy(target), copy.deepcopy(draft), *tokenizers, **options)


def alone(pair: anydraft.Speculator, **options: Any) -> list[str]:
    return [
        pair.generate(prompt, max_new_tokens=length, **options).text
        for prompt, length in zip(PROMPTS, LENGTHS, strict=True)
    ]


def asked(pair: anydraft.Speculator, **options: Any) -> list[Asked]:
    return [
        Asked(pair, prompt, max_new_tokens=length, **options)
        for prompt, length in zip(PROMPTS, LENGTHS, strict=True)
    ]


@contextmanager
def running(pair: anydraft.Speculator, **options: int) -> Iterator[Scheduler]:
    """A scheduler that is closed at the end."""
    made = Scheduler(pair.engine, **{"max_batch": 8, "max_queue": 64, **options})
    made.start()
    try:
        yield made
    finally:
        made.close()
        made.join()


def texts(scheduler: Scheduler, asked: Sequence[Asked]) -> list[str]:
    """What jobs say that are submitted at once."""
    for one in asked:
        scheduler.submit(one.job)
    return [one.text() for one in asked]


@contextmanager
def gated(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Rounds that wait until they are let through; at the end all are."""
    gate, play = threading.Semaphore(0), module.next_round
    opened = threading.Event()

    def held(rows: Any) -> Any:
        while not opened.is_set() and not gate.acquire(timeout=0.05):
            pass
        return play(rows)

    monkeypatch.setattr(module, "next_round", held)
    try:
        yield gate
    finally:
        opened.set()


@contextmanager
def spoilt(target: Any, spoil: Any) -> Iterator[list[int]]:
    """A target whose passes go through ``spoil(ids, output)``; how often that raised or changed something."""
    times: list[int] = []

    def hook(_: Any, __: Any, given: dict[str, Any], output: Any) -> Any:
        if spoil(given["input_ids"], output):
            times.append(1)
        return output

    handle = target.register_forward_hook(hook, with_kwargs=True)
    try:
        yield times
    finally:
        handle.remove()
