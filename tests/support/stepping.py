"""A decode that something is raised in, at any line of the package, as Ctrl-C or an error may come there."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import anydraft
import trained
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.sequence import Row
from locks import release_all

ROOT = Path(anydraft.__file__).parent
PROMPT = "The quick brown fox"
LENGTH = 12
"""Tokens of the decode that is broken."""
BEHIND = 6
"""Tokens of the decode after it."""


class PlantedError(Exception):
    """What no part of the package raises itself."""


class Steps:
    """Counts the lines of the package that run, and raises at one of them."""

    def __init__(self, at: int | None, kind: type[BaseException] = KeyboardInterrupt) -> None:
        self.at, self.kind = at, kind
        self.count = 0
        self.where = ""
        """The file in which it was raised."""

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(str(ROOT)):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.at:
                sys.settrace(None)
                self.where = str(Path(frame.f_code.co_filename).relative_to(ROOT))
                raise self.kind
        return self


@contextmanager
def stepping(steps: Steps) -> Iterator[None]:
    """Trace this thread."""
    sys.settrace(steps)
    try:
        yield
    finally:
        sys.settrace(None)
        release_all()


class Broken:
    """One pair, whose decodes are broken off at chosen lines and looked at afterwards."""

    def __init__(self, method: Any, **options: Any) -> None:
        self.decoder = anydraft.Speculator(*trained.pair(), method=method, num_draft_tokens=4)
        self.options = options
        whole = self.decoder.generate(PROMPT, max_new_tokens=LENGTH + BEHIND, **options)
        self.prompt, self.text = whole.prompt_ids, whole.token_ids
        self.greedy = self.decoder.generate(PROMPT, max_new_tokens=LENGTH).token_ids
        self.lines = min(self._counted() for _ in range(3))
        """Lines of the package that a decode runs, when the models have been tried."""
        self.raised: Counter[str] = Counter()
        """How often it was raised, by file; a decode that ended before its line is not counted."""

    def _warm(self) -> PairCaches:
        caches = PairCaches(*self.decoder.engine.sequences())
        self.decoder.generate(PROMPT, max_new_tokens=3, caches=caches)
        return caches

    def _counted(self) -> int:
        caches, steps = self._warm(), Steps(None)
        with stepping(steps):
            self._decode(caches, [])
        return steps.count

    def _decode(self, caches: PairCaches, emitted: list[int]) -> None:
        stream = None
        try:
            stream = self.decoder.stream(PROMPT, max_new_tokens=LENGTH, caches=caches, **self.options)
            for event in stream:
                emitted += event.token_ids
        finally:
            sys.settrace(None)
            for event in stream or ():  # what still comes, if anything does, comes without a hole
                emitted += event.token_ids

    def at(self, line: int, kind: type[BaseException]) -> None:
        """Break one decode; everything that must hold afterwards is asserted."""
        caches, emitted, steps = self._warm(), list[int](), Steps(line, kind)
        try:
            with stepping(steps):
                self._decode(caches, emitted)
        except kind:
            pass
        if steps.where:
            self.raised[steps.where] += 1
        assert emitted == self.text[: len(emitted)], "what was said is right"
        behind = self._on(caches, emitted)
        assert behind == self.text[len(emitted) :][:BEHIND], "caches that were kept are right"

    def _on(self, caches: PairCaches, emitted: list[int]) -> list[int]:
        ids = [*self.prompt, *emitted]
        return self.decoder.generate(input_ids=ids, max_new_tokens=BEHIND, caches=caches).token_ids

    def every(self, stride: int, kind: type[BaseException], first: int = 1) -> None:
        """Break a decode at every ``stride``-th line; then ask for a fresh one, and for what was left."""
        threads = threading.active_count()
        for line in range(first, self.lines, stride):
            self.at(line, kind)
        assert self.decoder.generate(PROMPT, max_new_tokens=LENGTH).token_ids == self.greedy
        assert threading.active_count() == threads
        gc.collect()
        assert not [found for found in gc.get_objects() if type(found) is Row], "no row is left"
