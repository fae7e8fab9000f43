"""One request on its way through the scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anydraft.bridge.prompts import Prompt
from anydraft.decoding.events import Event
from anydraft.decoding.sequence import Row
from anydraft.decoding.stats import Stats
from anydraft.engine.begin import begin, follows_clocks
from anydraft.engine.engine import Engine
from anydraft.engine.options import SamplingOptions
from anydraft.engine.places import Places
from anydraft.proposers.registry import AnyMethod
from anydraft.scheduling.directors import NONE
from anydraft.serving.logprobs import Logprobs


@dataclass(eq=False)
class Job:
    """A prompt to be continued, and who is told of what comes."""

    prompt: Prompt
    options: SamplingOptions
    method: AnyMethod | None
    """How it is drafted; ``None``: as the engine does."""
    tell: Callable[[Event | Exception], None]
    """Called by the scheduler's thread with every event. The last has a finish reason, or is an error."""
    logprobs: Logprobs | None = None
    """Where the target's thoughts of the tokens are kept, if they are asked for."""
    began: float = field(default_factory=time.perf_counter)
    row: Row | None = None
    """While it has a place."""
    stats: Stats | None = None
    """What was counted of it so far; ``None`` before it has had a place."""
    drafted_with: str = "none"
    """What its latest block was drafted with."""
    gone: bool = False
    """Nobody listens any more."""

    @property
    def repeats(self) -> bool:
        """Whether a seed is to repeat what is said. Then nothing that is drafted depends on other rows."""
        return not follows_clocks(self.options)

    def open(self, engine: Engine, places: Places) -> Row:
        """Take a place.

        Raises:
            ArgumentError, PairError: what is asked for cannot be done.
        """
        if self.method not in (None, "auto", NONE):
            engine.strategy(str(self.method))
        caches = places.add("own" if self.repeats or self.method == NONE else "shared")
        given = engine, self.prompt, caches, self.options
        try:
            self.row = begin(*given, method=self.method, together=1, remembers=not self.repeats)
        except BaseException:
            caches.leave()
            raise
        if self.repeats:  # in any company, where blocks are lines
            self.row.crowded = True
        self.row.try_trees()  # now, or the first round would seem slow
        if self.logprobs is not None:
            self.row.watch = self.logprobs.watch
        self.stats = self.row.stats
        return self.row

    def leave(self) -> None:
        """Give the place back. Nothing of the models stays, however long the client takes to read."""
        if self.row is not None:
            self.drafted_with = self.row.method
            self.row.leave()
            self.row = None
