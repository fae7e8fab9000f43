"""What the server does with a request, from its body to its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from anydraft.bridge.prompts import Prompt
from anydraft.decoding.events import Event
from anydraft.engine.options import SamplingOptions
from anydraft.serving.answers import DONE, Answer, server_sent
from anydraft.serving.errors import RequestError, as_request_error, client_gone
from anydraft.serving.job import Job
from anydraft.serving.listener import Listener
from anydraft.serving.logprobs import Logprobs
from anydraft.serving.metrics import Metrics, Outcome
from anydraft.serving.requests import Wanted
from anydraft.serving.scheduler import Scheduler
from anydraft.speculator import Speculator

log = logging.getLogger(__name__)

Numbered: TypeAlias = tuple[int, Event]
"""An event, and of which text of the answer."""

UNBOUNDED = 4096
"""Most tokens of an answer where neither the request nor the target's window says."""


class Service:
    """A pair with its scheduler, its counters and its name; :meth:`close` ends it."""

    def __init__(self, pair: Speculator, name: str, *, max_batch: int = 8, max_queue: int = 64) -> None:
        """``name``: what clients call the model; ``max_batch`` and ``max_queue`` as for the scheduler."""
        self.name = name
        self.metrics = Metrics()
        self._engine = pair.engine
        self._read = 0  # prompts that are read, or wait for it
        self.scheduler = Scheduler(pair.engine, max_batch=max_batch, max_queue=max_queue, ended=self._ended)
        self.metrics.watch(self.scheduler)
        self._prompts = ThreadPoolExecutor(1, thread_name_prefix="anydraft-prompts")
        self.scheduler.start()
        self.created = int(time.time())

    def close(self) -> None:
        """End all requests after the round that runs, and wait for it."""
        self.scheduler.close()
        self._prompts.shutdown(cancel_futures=True)
        self.scheduler.join()

    def refused(self, error: Exception) -> None:
        """Note a request that got no place."""
        code = as_request_error(error).code
        self.metrics.unserved("abandoned" if code == client_gone().code else "refused")
        if code == "model_error":
            log.error("a request failed", exc_info=error)

    async def begin(self, wanted: Wanted) -> Call:
        """Read the prompt and take a place in the queue.

        Raises:
            RequestError, ArgumentError: a prompt that cannot be, or is too long, or a queue that is full.
        """
        loop = asyncio.get_running_loop()
        self.scheduler.require_room(self._read)
        self._read += 1
        try:
            # Only this thread uses the users' tokenizers, which are not made for several at once.
            prompt = await loop.run_in_executor(self._prompts, partial(self._engine.prompt, **wanted.prompt))
        finally:
            self._read -= 1
        listener = Listener()
        jobs = [
            Job(prompt, options, wanted.method, listener.teller(index), self._logprobs(wanted))
            for index, options in enumerate(self._options(wanted, prompt))
        ]
        self.scheduler.submit(*jobs)
        return Call(self, wanted, jobs, listener)

    def _options(self, wanted: Wanted, prompt: Prompt) -> list[SamplingOptions]:
        """How each text is drawn: with a seed, the texts of one prompt have seeds that follow each other."""
        processors = wanted.changed.processors(len(prompt.ids), len(self._engine.bridge.target))
        most = self._most(wanted, prompt)
        same = replace(wanted.options, max_new_tokens=most, logits_processor=processors)
        seeds = [None if same.seed is None else same.seed + index for index in range(wanted.count)]
        return [replace(same, seed=seed) for seed in seeds]

    def _logprobs(self, wanted: Wanted) -> Logprobs | None:
        if wanted.logprobs is None:
            return None
        return Logprobs(wanted.kind, self._engine.bridge, wanted.logprobs)

    def _most(self, wanted: Wanted, prompt: Prompt) -> int:
        """How many tokens the answer may have."""
        window, read = self._engine.window, len(prompt.ids)
        if window is None:
            return wanted.most or UNBOUNDED
        most = window - read if wanted.most is None else wanted.most
        if most < 1 or read + most > window:
            asked = "" if wanted.most is None else f" and max_tokens={wanted.most}"
            raise RequestError(
                f"got a prompt of {read} tokens{asked}; expected at most {window} tokens together, the "
                "model's context. Shorten the prompt or the answer",
                param="messages" if wanted.kind == "chat" else "prompt",
                code="context_length_exceeded",
            )
        return most

    def _ended(self, job: Job, error: Exception | None) -> None:
        outcome: Outcome = "finished"
        if error is not None:
            told = as_request_error(error)
            outcome = "abandoned" if job.gone else "failed" if told.status >= 500 else "refused"
            if told.code == "model_error":
                log.error("a request failed", exc_info=error)
        self.metrics.ended(outcome, len(job.prompt.ids), time.perf_counter() - job.began, job.stats)


class Call:
    """A request that was taken."""

    def __init__(self, service: Service, wanted: Wanted, jobs: list[Job], listener: Listener) -> None:
        """Made by :meth:`Service.begin`."""
        self._service, self._wanted, self._jobs = service, wanted, jobs
        self._events = listener.events(len(jobs))
        self._answer = Answer(wanted.kind, service.name, jobs)

    def leave(self) -> None:
        """Nobody waits for the answer any more; nothing happens if it is finished."""
        self._service.scheduler.abandon(*self._jobs)

    async def first(self) -> Numbered:
        """The first event: from there on the request can be answered. Errors as for :meth:`Job.open`."""
        event = await anext(self._events)
        self._service.metrics.began(time.perf_counter() - self._jobs[0].began)
        return event

    async def whole(self) -> dict[str, Any]:
        """The finished answer."""
        self._answer.take(*await self.first())
        async for index, event in self._events:
            self._answer.take(index, event)
        return self._answer.whole()

    async def parts(self, first: Numbered) -> AsyncGenerator[bytes, None]:
        """Server-sent events, from the ``first`` event on; an error is the last of them."""
        for opening in self._answer.openings():
            yield server_sent(opening)
        try:
            async with aclosing(_from(first, self._events)) as events:
                async for index, event in events:
                    text = self._answer.take(index, event)
                    if text or event.finish_reason or self._answer.tells(index):
                        yield server_sent(self._answer.part(index, text))
        except Exception as error:
            yield server_sent(as_request_error(error).body)
            return
        if self._wanted.include_usage:
            yield server_sent(self._answer.counted())
        yield DONE


async def _from(first: Numbered, rest: AsyncGenerator[Numbered, None]) -> AsyncGenerator[Numbered, None]:
    yield first
    async for event in rest:
        yield event
