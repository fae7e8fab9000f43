"""What one decode said is looked up for the next: by whom, for whom, and for whom not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

import anydraft
import jobs
import small
import trained
import watching
from anydraft.decoding.events import Event
from anydraft.decoding.loop import decode
from anydraft.memory.memory import PROCESS
from anydraft.planner import measure

PROMPT = "The quick brown fox jumps"
LENGTH = 30


def lookups(memory: Any, *, swap: bool = False, **options: Any) -> anydraft.Speculator:
    """A pair that does nothing but look up."""
    return small.speculator(
        swap=swap,
        method="lookup",
        num_draft_tokens=4,
        **options,
        **({} if memory is None else {"memory": memory}),
    )


def said(pair: anydraft.Speculator, prompt: str = PROMPT, **options: Any) -> anydraft.Output:
    return pair.generate(prompt, max_new_tokens=LENGTH, **options)


@pytest.mark.parametrize("memory", [None, "process", anydraft.Memory()], ids=["default", "process", "own"])
def test_the_second_decode_uses_what_the_first_said(memory: Any) -> None:
    pair = lookups(memory)
    first, second = said(pair), said(pair)
    assert second.token_ids == first.token_ids
    assert second.stats.looked_up > first.stats.looked_up
    assert second.stats.target_passes < first.stats.target_passes * 0.6


def test_off_means_that_nothing_is_remembered_or_found() -> None:
    said(lookups("process"))
    before = PROCESS.bytes
    pair = lookups("off")
    first, second = said(pair), said(pair)
    assert (second.token_ids, second.stats.looked_up) == (first.token_ids, first.stats.looked_up)
    assert second.stats.target_passes == first.stats.target_passes
    assert PROCESS.bytes == before > 0


def test_an_own_memory_is_apart_from_the_processs() -> None:
    memory = anydraft.Memory()
    said(lookups(memory))
    assert (len(memory), len(PROCESS)) == (1, 0)
    alone = said(lookups("off")).stats
    assert said(lookups("process")).stats.looked_up == alone.looked_up


def test_other_models_and_tokenizers_share_it() -> None:
    """Both targets have learnt one text, which their tokenizers cut otherwise."""
    memory = anydraft.Memory()
    stats = []
    for swap, own in ((False, memory), (True, memory), (True, "off")):
        parts = trained.pair(swap=swap)
        pair = anydraft.Speculator(*parts, method="lookup", num_draft_tokens=4, memory=own)  # type: ignore[arg-type]
        stats.append(said(pair, "The quick brown").stats)
    assert stats[1].looked_up > stats[2].looked_up
    assert stats[1].target_passes < stats[2].target_passes


def test_a_seed_repeats_whatever_the_process_said_before() -> None:
    pair = small.speculator(num_draft_tokens="auto")
    options: dict[str, Any] = {"temperature": 1.0, "seed": 3}
    first = said(pair, **options)
    assert len(PROCESS) == 0  # a memory that it does not look at would be one-sided
    PROCESS.add(PROMPT + first.text)
    second = said(pair, **options)
    assert (second.token_ids, second.stats.looked_up) == (first.token_ids, first.stats.looked_up)
    assert second.stats.proposed == first.stats.proposed


def test_a_seeded_sample_uses_a_memory_that_it_was_given() -> None:
    memory = anydraft.Memory()
    options: dict[str, Any] = {"temperature": 1e-4, "seed": 3}  # it says the same every time
    first, second = (said(lookups(memory), **options) for _ in "ab")
    assert second.token_ids == first.token_ids
    assert second.stats.looked_up > first.stats.looked_up
    assert len(memory) == 1  # the same text, which is there


def test_a_conversation_is_remembered_once() -> None:
    pair = lookups(anydraft.Memory())
    memory, text = pair.engine._memory, PROMPT * 8
    assert isinstance(memory, anydraft.Memory)
    for _ in range(4):
        text += said(pair, text).text.replace("\ufffd", "")
    assert len(memory) <= 4
    assert memory.bytes < len(text.encode()) + 4 * 256


def remembered() -> int:
    return len(PROCESS)


def test_a_stream_that_is_closed_is_remembered_once() -> None:
    stream = small.speculator().stream(PROMPT, max_new_tokens=LENGTH)
    text = "".join(event.text for _, event in zip(range(3), stream, strict=False))
    stream.close()
    stream.close()
    assert remembered() == 1
    assert PROCESS._core.documents()[0].decode(errors="replace").startswith(PROMPT + text.rstrip("\ufffd"))
    del stream
    assert remembered() == 1


def test_a_stream_that_is_given_up_is_remembered() -> None:
    stream = small.speculator().stream(PROMPT, max_new_tokens=LENGTH)
    next(stream)
    assert remembered() == 0
    del stream
    assert remembered() == 1


def test_a_decode_that_fails_is_remembered() -> None:
    def failing(ids: Any, scores: Any, **_: Any) -> Any:
        if ids.shape[1] > 16:
            raise RuntimeError("no more of this")
        return ids.new_zeros(len(ids), dtype=bool)

    with pytest.raises(RuntimeError, match="no more"):
        said(small.speculator(), stopping_criteria=[failing])
    assert remembered() == 1


def test_a_task_that_is_cancelled_is_remembered() -> None:
    async def cancelled() -> None:
        events = small.speculator().astream(PROMPT, max_new_tokens=LENGTH)
        async with contextlib.aclosing(events):  # type: ignore[type-var]
            await anext(events)

    asyncio.run(cancelled())
    for thread in threading.enumerate():
        if thread.name.startswith("anydraft"):
            thread.join(60)
    assert remembered() == 1


def test_generate_of_transformers_has_one_too() -> None:
    target, draft, *tokenizers = small.pair()
    ids = tokenizers[0](PROMPT, return_tensors="pt")["input_ids"]
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": LENGTH, "pad_token_id": 0}
    found = {}
    for memory in ("off", "process"):
        custom = anydraft.custom_generate(
            draft, *tokenizers, method="lookup", num_draft_tokens=4, memory=memory
        )
        outputs = [target.generate(ids, custom_generate=custom, **options).tolist() for _ in "ab"]
        assert outputs[0] == outputs[1]
        found[memory] = custom.stats[0].looked_up
        assert remembered() == (memory == "process")
    assert found["process"] > found["off"]
    target.generate(ids.repeat(2, 1), custom_generate=custom, **options)
    assert [stats.proposed for stats in custom.stats] == [0, 0]  # rows of a batch are not looked up for
    assert remembered() == 1  # and what they said was there


def test_what_is_looked_up_is_found_once_a_round() -> None:
    """Between the choice of a block and its candidates another thread may add to the memory."""
    pair = lookups(anydraft.Memory())
    memory = pair.engine._memory
    assert isinstance(memory, anydraft.Memory)
    text = said(pair).text
    row = watching.row(pair, PROMPT, length=LENGTH)
    choice = row.choose()
    assert choice is not None
    memory.clear()
    memory.add(PROMPT + " over something else altogether")
    _, draft = row.open(choice)
    assert draft is not None
    strategy, context, gamma, randomness = draft
    block = strategy.draft(context, gamma, randomness)
    proposed = pair.bridge.target.decode(block.candidates.tolist()).decode(errors="replace")
    assert proposed
    assert text.startswith(proposed.rstrip("\ufffd"))


def test_a_plan_is_measured_without() -> None:
    pair = small.speculator(num_draft_tokens="auto")
    measure(pair, 0.0, [PROMPT], ["lookup", "tli"], LENGTH)
    assert remembered() == 0


def test_decodes_in_threads_share_it() -> None:
    pair = lookups(anydraft.Memory())
    wanted, found, failed = said(lookups("off")).token_ids, [], []

    def work() -> None:
        try:
            found.extend(said(pair).token_ids for _ in range(4))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert failed == []
    assert found == [wanted] * 16


def server(memory: Any) -> tuple[list[str], list[int]]:
    """What two requests are told, one after the other, and how much of it was looked up."""
    pair = jobs.pair(method="lookup", memory=memory)
    with jobs.running(pair) as scheduler:
        asked = [jobs.Asked(pair, "The quick") for _ in range(2)]
        texts = [jobs.texts(scheduler, [one])[0] for one in asked]
    counts = [one.job.stats.looked_up for one in asked if one.job.stats is not None]
    return texts, counts


def test_a_server_without_memory_finds_nothing_of_other_requests() -> None:
    texts, looked_up = server("off")
    assert texts[0] == texts[1]
    assert looked_up[0] == looked_up[1]
    assert remembered() == 0
    memory = anydraft.Memory()
    texts, looked_up = server(memory)
    assert texts[0] == texts[1]
    assert looked_up[1] > looked_up[0]
    assert len(memory) == 1


def test_a_request_that_is_abandoned_is_remembered() -> None:
    memory = anydraft.Memory()
    pair = jobs.pair(memory=memory)
    with jobs.running(pair) as scheduler:
        one = jobs.Asked(pair, "The quick", max_new_tokens=400, min_new_tokens=400)
        scheduler.submit(one.job)
        one.next()
        scheduler.abandon(one.job)
        while not isinstance(event := one.said.get(timeout=jobs.HANG), Exception):
            assert isinstance(event, Event)
    assert len(memory) == 1


def test_rows_of_ones_own_loop_are_remembered_at_its_end() -> None:
    rows = [watching.row(small.speculator(), PROMPT + extra, length=8) for extra in ("", " over")]
    loop = decode(rows)
    next(loop)
    assert remembered() == 0
    loop.close()
    assert remembered() == 2
