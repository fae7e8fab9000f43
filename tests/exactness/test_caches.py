"""Caches that are kept between decodes are right after anything: errors, interrupts, cancelled streams."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from transformers import DynamicCache

import anydraft
import trained
from anydraft.decoding.caches import PairCaches
from anydraft.engine.begin import begin
from locks import release_all

PACKAGE = str(Path(anydraft.__file__).parent)
PROMPT = "The quick brown fox"
LENGTH = 16


def pair(**options: Any) -> anydraft.Speculator:
    options.setdefault("num_draft_tokens", 4)
    return anydraft.Speculator(*trained.pair(), **options)


def assert_right(decoder: anydraft.Speculator, caches: PairCaches, ids: list[int], wanted: list[int]) -> None:
    """A greedy continuation of ``ids`` is what it is with fresh caches; ``wanted`` is all that is said."""
    out = decoder.generate(input_ids=ids, max_new_tokens=LENGTH, caches=caches)
    assert out.token_ids == wanted[: len(out.token_ids)]
    assert len(out.token_ids) == LENGTH


def said(decoder: anydraft.Speculator, length: int) -> tuple[list[int], list[int]]:
    out = decoder.generate(PROMPT, max_new_tokens=length)
    return out.prompt_ids, out.token_ids


@pytest.mark.parametrize("at", range(1, 13))
def test_a_criterion_that_raises(at: int) -> None:
    decoder = pair()
    prompt, text = said(decoder, 40)
    calls: list[list[int]] = []

    def raising(ids: Any, scores: Any) -> bool:
        calls.append(ids[0].tolist())
        if len(calls) == at:
            raise RuntimeError("not now")
        return False

    caches = PairCaches(*decoder.engine.sequences())
    with pytest.raises(RuntimeError, match="not now"):
        decoder.generate(PROMPT, max_new_tokens=40, stopping_criteria=[raising], caches=caches)
    emitted = calls[-1][len(prompt) :]
    assert emitted == text[:at]
    assert_right(decoder, caches, calls[-1], text[at:])


@pytest.mark.parametrize("method", ["slem", "tli", "slrs", "auto"])
def test_a_draft_that_cannot_take_its_text_back_is_dropped(method: Any) -> None:
    decoder = pair(method=method)
    prompt, text = said(decoder, 40)
    caches = PairCaches(*decoder.engine.sequences())
    decoder.generate(PROMPT, max_new_tokens=10, caches=caches)

    def raising(length: int) -> None:
        raise RuntimeError("not back")

    crop, caches.draft.crop = caches.draft.crop, raising  # type: ignore[method-assign]
    events = list(decoder.stream(input_ids=prompt, max_new_tokens=LENGTH, caches=caches))
    assert [event.draft_failure for event in events if event.draft_failure] == [
        "the draft failed: RuntimeError: not back"
    ]
    assert [token for event in events for token in event.token_ids] == text[:LENGTH]
    caches.draft.crop = crop  # type: ignore[method-assign]
    assert_right(decoder, caches, prompt, text)
    assert decoder.generate(PROMPT, max_new_tokens=LENGTH, caches=caches).stats.drafted > 0


@pytest.mark.parametrize("at", range(1, 8))
def test_a_processor_that_raises(at: int) -> None:
    decoder = pair()
    prompt, text = said(decoder, 40)
    seen: list[list[int]] = []

    def raising(ids: Any, scores: Any) -> Any:
        seen.append(ids[0].tolist())
        if len(seen) == at:
            raise RuntimeError("not now")
        return scores

    caches = PairCaches(*decoder.engine.sequences())
    with pytest.raises(RuntimeError, match="not now"):
        decoder.generate(PROMPT, max_new_tokens=40, logits_processor=[raising], caches=caches)
    assert seen == [[*prompt, *text[:i]] for i in range(at)]
    assert_right(decoder, caches, seen[-1], text[at - 1 :])


class Interrupt:
    """Raises KeyboardInterrupt at a line of the package, as Ctrl-C does between two of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("method", ["slem", "tli"])
@pytest.mark.parametrize("part", range(4))
def test_an_interrupt_between_any_two_lines(method: Any, part: int) -> None:
    decoder = pair(method=method)
    prompt, text = said(decoder, 40)
    stopped = 0
    for at in range(30 + 37 * part, 3000, 151):
        caches = PairCaches(*decoder.engine.sequences())
        decoder.generate(PROMPT, max_new_tokens=3, caches=caches)
        emitted: list[int] = []
        sys.settrace(Interrupt(at))
        try:
            for event in decoder.stream(PROMPT, max_new_tokens=12, caches=caches):
                emitted += event.token_ids
        except KeyboardInterrupt:
            stopped += 1
        finally:
            sys.settrace(None)
            release_all()
        assert_right(decoder, caches, [*prompt, *emitted], text[len(emitted) :])
    assert stopped > 10


def test_one_decode_at_a_time() -> None:
    decoder = pair()
    caches = PairCaches(*decoder.engine.sequences())
    first = decoder.stream(PROMPT, max_new_tokens=30, caches=caches)
    next(first)
    prompt, text = said(decoder, 30)
    assert_right(decoder, caches, prompt, text)
    with pytest.raises(anydraft.ArgumentError, match="one decode at a time"):
        next(first)


def test_a_finished_stream_stays_finished() -> None:
    decoder = pair()
    caches = PairCaches(*decoder.engine.sequences())
    first = decoder.stream(PROMPT, max_new_tokens=4, caches=caches)
    assert len(list(first)) > 0
    decoder.generate(PROMPT, max_new_tokens=4, caches=caches)
    assert list(first) == []


def test_a_cancelled_stream_gives_its_caches_back() -> None:
    """The round that still runs in its thread is waited for by whoever comes next."""
    decoder = pair()
    prompt, text = said(decoder, 30)
    caches = PairCaches(*decoder.engine.sequences())
    running, go_on = threading.Event(), threading.Event()

    def waiting(ids: Any, scores: Any) -> bool:
        running.set()
        go_on.wait(10)
        return False

    async def give_up() -> None:
        async def read() -> None:
            async for _ in decoder.astream(
                PROMPT, max_new_tokens=30, caches=caches, stopping_criteria=[waiting]
            ):
                pass

        task = asyncio.create_task(read())
        await asyncio.to_thread(running.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    threading.Timer(0.3, go_on.set).start()
    assert_right(decoder, caches, prompt, text)


def test_caches_of_another_pair() -> None:
    """They run that pair's models: its target would speak."""
    decoder, other = pair(), anydraft.Speculator(*trained.pair(swap=True))
    caches = other.engine.caches()
    for made in (decoder, pair()):
        with pytest.raises(anydraft.ArgumentError, match=r"another Speculator .*leave caches out"):
            made.generate(PROMPT, caches=caches, max_new_tokens=4)
    engine = decoder.engine
    prompt, options = engine.prompt(PROMPT), anydraft.SamplingOptions(max_new_tokens=4)
    with pytest.raises(anydraft.ArgumentError, match="another Speculator"):
        begin(engine, prompt, caches, options)
    assert other.generate(PROMPT, caches=caches, max_new_tokens=4).token_ids
    prompt_ids, text = said(decoder, LENGTH)
    assert_right(decoder, engine.caches(), prompt_ids, text)


@pytest.mark.parametrize("given", [DynamicCache(), (), "on"], ids=lambda given: type(given).__name__)
def test_what_are_no_caches(given: Any) -> None:
    name = type(given).__name__
    with pytest.raises(anydraft.ArgumentError, match=rf"got caches of type {name}; .*engine\.caches\(\)"):
        pair().generate(PROMPT, caches=given, max_new_tokens=4)
