"""Who takes part in the speed comparison: each decodes a prompt and tells what it took."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anydraft.decoding.stats import Stats
from anydraft.decoding.stream import Stream
from anydraft.speculator import Speculator


@dataclass
class Run:
    """One decode. Seconds count from the first emitted tokens on: reading the prompt is left out."""

    ids: list[int]
    seconds: float
    counted: int
    """Tokens emitted in these seconds."""
    bytes: int = 0
    passes: int = 0
    stats: Stats | None = None
    bridge: float = 0.0
    """Seconds in the text bridge."""
    method: str = ""


class Watch:
    """A streamer of transformers' ``generate`` that notes when tokens come."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.times: list[float] = []
        self.counts: list[int] = []
        self._prompt = True

    def put(self, value: Tensor) -> None:
        """Take ids; the first are the prompt."""
        if self._prompt:
            self._prompt = False
            return
        self.times.append(time.perf_counter())
        self.counts.append(value.numel())

    def end(self) -> None:
        """Nothing to do."""


class TimedSession:
    """A session of the bridge with a stopwatch."""

    def __init__(self, session: Any) -> None:
        """Stand for ``session``."""
        self._session, self.seconds = session, 0.0

    def __getattr__(self, name: str) -> Any:
        """What the session has; calls are timed."""
        found = getattr(self._session, name)
        if not callable(found):
            return found

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = found(*arguments, **named)
            self.seconds += time.perf_counter() - began
            return result

        return timed


class Ours:
    """anydraft with a method and a length."""

    def __init__(self, parts: tuple[Any, ...], method: Any, length: Any, **options: Any) -> None:
        """As for :class:`Speculator`; ``parts`` are models and tokenizers."""
        options.setdefault("memory", "off")  # all say the same, and none is to find it there
        self.pair = Speculator(*parts, method=method, num_draft_tokens=length, **options)
        self.alone = False

    def __call__(self, ids: list[int], tokens: int, temperature: float, seed: int) -> Run:
        """Continue ``ids``."""
        torch.manual_seed(seed)  # not seed=: that would keep the clock out of what is drafted
        stream = self.pair.stream(input_ids=ids, max_new_tokens=tokens, temperature=temperature)
        row = stream._row
        if self.alone:
            go_alone(stream)
        session = row.session = TimedSession(row.session)
        out: list[int] = []
        began = bridge = 0.0
        skipped, first = 0, Stats()
        for event in stream:
            out += event.token_ids
            if not skipped:
                began, bridge, skipped = time.perf_counter(), session.seconds, len(out)
                first = copy.copy(stream.stats)
        took = time.perf_counter() - began
        size = len(self.pair.bridge.target.decode(out[skipped:]))
        counts = {name: getattr(stream.stats, name) - getattr(first, name) for name in vars(first)}
        return Run(
            out,
            took,
            len(out) - skipped,
            bytes=size,
            passes=stream.stats.target_passes - first.target_passes,
            stats=Stats(**counts),
            bridge=session.seconds - bridge,
            method=stream.method,
        )


class Nothing:
    """Directs a decode to go without a draft: the plain target, by the same loop."""

    methods = ()

    def choose(self, limit: int, backlog: int | None, match: int) -> None:
        """Nothing is drafted."""

    def observe(self, choice: Any, seen: Any) -> None:
        """Nothing to learn."""


def go_alone(stream: Stream) -> None:
    """Let a decode that has not begun go without a draft and without lookups: the target, by our loop."""
    stream._row.director = Nothing()
    stream._row.lookup = None


class Theirs:
    """transformers' ``generate``, plain or assisted by a draft with another tokenizer.

    ``prune``: whether its TLI prunes the assistant's head, as it does by default since 4.52. That form is not
    lossless (its columns are read back in another order) and changes the draft for good, so it works on a
    copy.
    """

    def __init__(self, parts: tuple[Any, ...], *, assisted: bool, prune: bool = False) -> None:
        """``parts`` are models and tokenizers."""
        self.target, self.draft, self.tokenizer, self.draft_tokenizer = parts
        self.assisted, self.prune = assisted, prune
        self.passes = 0
        self._translators: dict[bool, Any] = {}
        if assisted:  # transformers changes the assistant: its generation config at least
            memo = {} if prune else {id(p): p for p in self.draft.parameters()}
            self.draft = copy.deepcopy(self.draft, memo)

    def __call__(self, ids: list[int], tokens: int, temperature: float, seed: int) -> Run:
        """Continue ``ids``."""
        torch.manual_seed(seed)
        watch, given = Watch(), torch.tensor([ids], device=self.target.device)
        options: dict[str, Any] = {"do_sample": temperature > 0}
        if temperature > 0:
            options |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}
        if self.assisted:
            options |= {
                "assistant_model": self.draft,
                "tokenizer": self.tokenizer,
                "assistant_tokenizer": self.draft_tokenizer,
            }
        counting = self.target.register_forward_pre_hook(self._count)
        self.passes = 0
        try:
            with torch.no_grad(), translating(self._translators, prune=self.prune):
                output = self.target.generate(
                    given,
                    attention_mask=torch.ones_like(given),
                    max_new_tokens=tokens,
                    streamer=watch,
                    pad_token_id=self.target.generation_config.pad_token_id or 0,
                    **options,
                )
        finally:
            counting.remove()
        took = time.perf_counter() - watch.times[0]
        out = output[0, len(ids) :].tolist()
        return Run(out, took, len(out) - watch.counts[0], passes=self.passes - 1)

    def _count(self, *_: Any) -> None:
        self.passes += 1


@contextmanager
def translating(kept: dict[bool, Any], *, prune: bool) -> Iterator[None]:
    """While it lasts, transformers prunes the assistant head or leaves it whole, and makes its map once."""
    from transformers.generation.candidate_generator import AssistantVocabTranslatorCache

    original = AssistantVocabTranslatorCache.get_translator

    def get_translator(*arguments: Any, **options: Any) -> Any:
        if prune not in kept:
            AssistantVocabTranslatorCache._cache.clear()
            kept[prune] = original(*arguments, **{**options, "assistant_prune_lm_head": prune})
        return kept[prune]

    AssistantVocabTranslatorCache.get_translator = get_translator  # type: ignore[method-assign]
    try:
        yield
    finally:
        AssistantVocabTranslatorCache.get_translator = original  # type: ignore[method-assign]
