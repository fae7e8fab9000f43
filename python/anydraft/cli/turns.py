"""The three decodes that the demo compares, taking turns in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anydraft.cli.comparison import Decode, Three
from anydraft.cli.loading import Loaded
from anydraft.cli.plain import decode_plain
from anydraft.cli.waiting import Tell
from anydraft.decoding.events import Output, collect

if TYPE_CHECKING:
    from anydraft.speculator import Speculator

_WARM_UP_TOKENS = 24
"""Enough to measure the pass times by which the length of a draft is chosen."""


class Turns:
    """Decodes of one prompt by a pair, by its target alone in the same loop, and by ``generate``."""

    def __init__(self, pair: Speculator, target: Loaded, prompt: str, asked: dict[str, Any]) -> None:
        """``asked``: ``max_new_tokens``, ``temperature`` and ``seed``."""
        self._pair, self._target, self._prompt, self._asked = pair, target, prompt, asked

    def warm_up(self) -> None:
        """Let all three run for some tokens: what happens once, and what auto learns, is not to be timed."""
        few = {**self._asked, "max_new_tokens": max(1, min(_WARM_UP_TOKENS, self._asked["max_new_tokens"]))}
        ids = self._pair.generate(self._prompt, **few).prompt_ids
        self._alone(few)
        decode_plain(self._target, ids, **few, report=lambda _: None)

    def taken(self, first: Output, tell: Tell) -> Three:
        """Two halves, the second in reverse order; ``first`` is the drafted decode that opens the first."""
        plain: list[Decode] = []
        alone: list[Decode] = []
        drafted = [Decode(first.token_ids, first.stats.seconds, first.stats)]
        for half in ("first", "second"):
            ways = [self._own(alone), self._generated(plain, first.prompt_ids)]
            for name, way in ways if half == "first" else reversed(ways):
                tell(f"{half} half: {name}")
                way()
        tell("second half: with the draft")
        drafted.append(self._drafted())
        return Three(plain, alone, drafted)

    def _own(self, found: list[Decode]) -> tuple[str, Any]:
        return "our loop alone", lambda: found.append(self._alone(self._asked))

    def _generated(self, found: list[Decode], ids: list[int]) -> tuple[str, Any]:
        def run() -> None:
            found.append(decode_plain(self._target, ids, **self._asked, report=lambda _: None))

        return "transformers' generate", run

    def _alone(self, asked: dict[str, Any]) -> Decode:
        from anydraft.bench.contenders import go_alone

        stream = self._pair.stream(self._prompt, **asked)
        go_alone(stream)
        output = collect(stream, stream.prompt_ids, stream.stats)
        return Decode(output.token_ids, output.stats.seconds, output.stats)

    def _drafted(self) -> Decode:
        output = self._pair.generate(self._prompt, **self._asked)
        return Decode(output.token_ids, output.stats.seconds, output.stats)
