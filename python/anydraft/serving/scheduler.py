"""One thread that runs rounds over all open rows; requests join and leave between rounds."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from anydraft.decoding.events import Event
from anydraft.decoding.loop import next_round
from anydraft.decoding.sequence import Row
from anydraft.engine.engine import Engine
from anydraft.engine.places import Places
from anydraft.sampling.laws import SeededRandomness
from anydraft.serving.errors import RequestError, client_gone, shutting_down
from anydraft.serving.job import Job

log = logging.getLogger(__name__)

_CHUNK = 512
"""Tokens of a prompt that are read between two rounds of the others. Where there are no others a prompt is
read at once, as plain decoding reads it: scales of some models go by the length of a pass."""


class _Before(NamedTuple):
    """A row before a round."""

    length: int
    drawn: Mapping[torch.device, Tensor]
    """:attr:`SeededRandomness.state`; empty at temperature 0."""

    @classmethod
    def of(cls, row: Row) -> _Before:
        """As it is now."""
        drawn = row.randomness.state if isinstance(row.randomness, SeededRandomness) else {}
        return cls(len(row.committed), drawn)


class Scheduler:
    """Runs jobs: each reads its prompt, then takes part in the rounds of all that have read theirs.

    A model whose rows cannot share passes runs one job after another.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch: int,
        max_queue: int,
        ended: Callable[[Job, Exception | None], None] = lambda job, error: None,
    ) -> None:
        """``max_batch``: most rows of a round; ``max_queue``: most jobs that wait for a place.

        ``ended`` is called when a job is over, with what ended it before its time, if anything did.
        """
        self._engine = engine
        self._most, self._longest = max_batch, max_queue
        self._ended = ended
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._reading: deque[Job] = deque()
        self._open: list[Job] = []
        self._places: Places | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="anydraft-rounds", daemon=True)

    def start(self) -> None:
        """Start the thread. What is made of the models' weights is made now, not at the first request."""
        self._places = self._engine.places()
        if not self._places.joint:
            self._most = 1
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether jobs are run."""
        return self._thread.is_alive() and not self._closed

    @property
    def waiting(self) -> int:
        """Number of jobs without a place."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Number of jobs with one."""
        return len(self._reading) + len(self._open)

    def submit(self, *jobs: Job) -> None:
        """Put jobs into the queue, all or none.

        Raises:
            RequestError: there is no room for them in the queue, or the scheduler was closed.
        """
        if len(jobs) > self._most + self._longest:
            raise RequestError(
                f"got n={len(jobs)}; expected {self._most + self._longest} at most, as many as run and wait "
                "here",
                param="n",
            )
        with self._changed:
            self.require_room(len(jobs) - 1)
            self._waiting.extend(jobs)
            self._changed.notify()

    def require_room(self, others: int) -> None:
        """Raise :class:`RequestError` if there is no room for one more job behind so many others."""
        if self._closed:
            raise shutting_down()
        room = self._longest + max(0, self._most - self.running)
        if len(self._waiting) + others >= room:
            raise RequestError(
                f"{self.running} requests are running and {self.waiting} waiting, as many as may; "
                "try again later",
                status=503,
                code="overloaded",
                headers={"Retry-After": "1"},
            )

    def abandon(self, *jobs: Job) -> None:
        """Nobody listens any more: the rows end with the round that runs, if they have not ended."""
        with self._changed:
            for job in jobs:
                job.gone = True
            self._changed.notify()

    def close(self) -> None:
        """End all jobs after the round that runs, and take no others; from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self) -> None:
        """Wait for the round that runs, after :meth:`close`."""
        self._thread.join()

    def _run(self) -> None:
        error: Exception = shutting_down()
        try:
            while self._admit():
                self._read()
                self._round()
        except Exception as raised:
            log.exception("the scheduler failed")
            error = raised
        with self._changed:
            self._closed = True
            left = [*self._open, *self._reading, *self._waiting]
            self._waiting.clear()
        for job in left:
            self._end(job, error)

    def _admit(self) -> bool:
        """Wait until there is something to do; whether there will ever be."""
        with self._changed:
            self._drop()
            while not (self._waiting or self.running or self._closed):
                self._places = None  # its memory, and weights that change before the next request
                self._changed.wait()
                self._drop()
            if self._closed:
                return False
            room = min(self._most - self.running, len(self._waiting))
            admitted = [self._waiting.popleft() for _ in range(room)]
            self._reading += admitted
        for job in admitted:
            self._give_place(job)
        return True

    def _give_place(self, job: Job) -> None:
        try:
            self._places = self._places or self._engine.places()
            job.open(self._engine, self._places)
        except Exception as error:
            self._end(job, error)

    def _drop(self) -> None:
        """Let those go whom nobody listens to."""
        for job in [job for job in (*self._open, *self._reading, *self._waiting) if job.gone]:
            if job in self._waiting:
                self._waiting.remove(job)
            self._end(job, client_gone())

    def _read(self) -> None:
        """A part of the first prompt that is being read. Its last part is the first round of its row."""
        if not self._reading:
            return
        job = self._reading[0]
        assert job.row is not None
        try:
            if self._most > 1 and len(job.row.unfed) > _CHUNK:
                job.row.target.advance(job.row.unfed[:_CHUNK])
                return
            self._reading.popleft()
            self._open.append(job)
            (event,) = next_round([job.row])
        except Exception as error:
            self._end(job, error)
            return
        self._told(job, event)

    def _round(self) -> None:
        """A round of all rows that have read their prompts."""
        jobs = list(self._open)
        rows = [job.row for job in jobs if job.row is not None]
        if not rows:
            return
        together = 1 << (len(rows) - 1).bit_length()
        before = [_Before.of(row) for row in rows] if len(rows) > 1 else []
        try:
            for job, row in zip(jobs, rows, strict=True):
                if not job.repeats:
                    self._engine.direct(row, together, job.method)
            events = next_round(rows)
        except Exception as error:
            if len(jobs) == 1:
                self._end(jobs[0], error)
            else:
                self._each_alone(jobs, rows, before, error)
            return
        for job, event in zip(jobs, events, strict=True):
            self._told(job, event)

    def _each_alone(self, jobs: list[Job], rows: list[Row], before: list[_Before], error: Exception) -> None:
        """A round failed, and it is not known whose fault it is: those that fail alone end, others go on.

        They draw what they drew in it: a seed repeats, and no draft is dropped for what it was.
        """
        log.warning("a round of %d rows failed (%s); each is tried alone", len(rows), error)
        for job, row, kept in zip(jobs, rows, before, strict=True):
            if len(row.committed) > kept.length:  # it has emitted what was not told
                self._end(job, error)
                continue
            if isinstance(row.randomness, SeededRandomness):
                row.randomness.state = kept.drawn
            try:
                (event,) = next_round([row])
            except Exception as own:
                self._end(job, own)
            else:
                self._told(job, event)

    def _told(self, job: Job, event: Event) -> None:
        if event.finish_reason:
            self._leave(job)
            self._ended(job, None)
        job.tell(event)

    def _end(self, job: Job, error: Exception) -> None:
        """A job ends before its time."""
        self._leave(job)
        self._ended(job, error)
        job.tell(error)

    def _leave(self, job: Job) -> None:
        for jobs in (self._open, self._reading):
            if job in jobs:
                jobs.remove(job)
        job.leave()
