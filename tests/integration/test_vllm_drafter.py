"""Drafting for a server, against a small one of our own; the target alone is the reference."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import anydraft
import anydraft.integrations.vllm.drafter as drafting
import small
from anydraft.integrations.vllm.proposer import Proposer, Settings
from anydraft.integrations.vllm.requests import Known, RequestTable
from anydraft.integrations.vllm.turns import messages_of
from anydraft.models.ahead import look_ahead
from anydraft.models.llama_cpp.sequences import LlamaCppModel
from clocks import Clock
from counting import counted
from serving_engine import Engine, Job

TEXTS = [
    "The quick brown",
    "def fib(n):\n    ",
    "Ça va",
    "日本 🙂",
    "12345 ",
    "The lazy dog sleeps",
    "return n",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str, str]:
    """A target, its folder, and a draft's folder: the draft is the target with another tokenizer's words."""
    base = tmp_path_factory.mktemp("models")
    tokenizers = small.byte_fallback(), small.byte_level()
    made = []
    for name, tokenizer, seed in zip(("target", "draft"), tokenizers, (0, 1), strict=True):
        model = small.model(tokenizer, seed=seed)
        model.save_pretrained(base / name)
        tokenizer.save_pretrained(base / name)
        made.append(model)
    return made[0], str(base / "target"), str(base / "draft")


def config(target: str, draft: str, tokens: int = 4, window: int = 500, **settings: Any) -> Any:
    given = {"draft": draft, "dtype": "float32", "adapt": "off", **settings}
    return SimpleNamespace(
        additional_config={"anydraft": given},
        speculative_config=SimpleNamespace(num_speculative_tokens=tokens),
        model_config=SimpleNamespace(model=target, tokenizer=target, max_model_len=window),
        device_config=SimpleNamespace(device="cpu"),
    )


def alone(model: Any, job: Job) -> list[int]:
    out = model.generate(
        torch.tensor([job.prompt]), max_new_tokens=job.most, do_sample=False, eos_token_id=None
    )
    return out[0, len(job.prompt) :].tolist()


def jobs(count: int, seed: int) -> list[Job]:
    chance = random.Random(seed)
    tokenizer = small.byte_fallback()
    return [
        Job(
            tokenizer(f"{i}: " + chance.choice(TEXTS) * chance.randint(1, 3))["input_ids"],
            chance.randint(1, 25),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("same", [False, True])
def test_forty_requests_with_aborts_and_preemption_say_what_the_target_says(
    folders: tuple[Any, str, str], same: bool
) -> None:
    """With ``same`` the draft is the target itself, so that most proposals are accepted."""
    model, target, draft = folders
    proposer = Proposer(config(target, target if same else draft))
    engine, waiting, chance = Engine(model, proposer), jobs(40, 0), random.Random(1)
    everything, aborted, preempted = list(waiting), [], []
    for step in range(1000):
        if waiting and len(engine.rows) < 8 and chance.random() < 0.7:
            engine.add(waiting.pop())
        if engine.rows and step % 17 == 5:
            aborted.append(chance.choice(engine.rows))
            engine.remove(aborted[-1])
        if engine.rows and step % 23 == 7:
            preempted.append(chance.choice(engine.rows))
            engine.remove(preempted[-1])
        if preempted and step % 23 == 15:
            engine.add(preempted.pop())
        if not engine.rows and not waiting and not preempted:
            break
        if engine.rows:
            engine.step()
            check(proposer, engine)
    finished = [job for job in everything if job.done]
    assert len(finished) + len(aborted) >= 40
    for job in finished:
        assert job.emitted == alone(model, job)
    counts = proposer.drafter.counts
    assert counts.accepted == sum(job.accepted for job in everything)
    if same:
        assert counts.accepted > 0.1 * counts.proposed  # a random model seldom writes canonical text


def check(proposer: Proposer, engine: Engine) -> None:
    """Every request's draft has read the bytes of its ids, and its caches are in step."""
    drafter = proposer.drafter
    known = drafter._table._known[: len(engine.rows)]
    assert all(len(k.kept.model.batch._slots) <= 2 * drafter._most_requests + 8 for k in known)
    for k in known:
        request = k.kept
        assert bytes(request.session.bytes()) == drafter._bridge.target.decode(k.ids.tolist())
        assert request.view.ids[: len(request.session.view())] == request.session.view()


def test_a_draft_that_looks_ahead_takes_one_pass(
    folders: tuple[Any, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target, draft = folders
    ahead = AutoModelForCausalLM.from_pretrained(draft)
    width = len(small.byte_level())
    ahead.config.anydraft_masks = list(range(width, width + 7))
    ahead.save_pretrained(tmp_path)
    small.byte_level().save_pretrained(tmp_path)
    seen: list[int] = []

    def watched(models: Any, ids: Any, masks: Any) -> Any:
        seen.extend(map(len, masks))
        assert max(int(own.max()) for own in ids) < width
        return look_ahead(models, ids, masks)

    monkeypatch.setattr(drafting, "look_ahead", watched)
    proposer = Proposer(config(target, str(tmp_path)))
    engine, waiting = Engine(model, proposer), jobs(6, 2)
    for job in waiting:
        engine.add(job)
    while engine.rows:
        engine.step()
        check(proposer, engine)
    for job in waiting:
        assert job.emitted == alone(model, job)
    assert min(seen) >= 1
    assert proposer.drafter.counts.proposed > len(seen)


def test_an_end_of_text_is_proposed(folders: tuple[Any, str, str]) -> None:
    """By role: the two tokenizers write it differently."""
    _, target, draft = folders
    proposer = Proposer(config(target, draft))
    drafter = proposer.drafter
    ids = small.byte_fallback()("The quick")["input_ids"]
    request = drafter._begin(np.array(ids, dtype=np.int32), 0).kept
    assert request.session.propose([small.byte_level().eos_token_id]) == [small.byte_fallback().eos_token_id]


def test_a_draft_that_fails_is_logged_once_and_left_out(
    folders: tuple[Any, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    model, target, draft = folders
    proposer = Proposer(config(target, draft))
    engine, job = Engine(model, proposer), jobs(1, 3)[0]
    job.most = 12
    engine.add(job)
    engine.step()
    proposer.drafter._batch.model.runner = None
    while not job.done:
        engine.step()
    assert job.emitted == alone(model, job)
    assert len([r for r in caplog.records if "goes on without it" in r.message]) == 1


def test_the_draft_reads_a_chat_in_its_own_template(folders: tuple[Any, str, str]) -> None:
    """The ids of a new request end with what was emitted already."""
    _, target, draft = folders
    drafter = Proposer(config(target, draft)).drafter
    tokenizer, emitted = small.byte_fallback(), 9
    asked: list[list[int]] = []

    def opening(ids: list[int]) -> tuple[list[int], list[int]]:
        asked.append(ids)
        return [1, 2, 3], []

    drafter._opening = opening  # type: ignore[assignment]
    prompt = tokenizer("The quick")["input_ids"]
    drafter.propose([np.array([*prompt, emitted], dtype=np.int32)], [1], [100])
    (known,) = drafter._table._known
    assert asked == [prompt]
    view = known.kept.session.view()
    assert view[:3] == [1, 2, 3]
    written = drafter._bridge.draft.decode(view[3:])
    assert written == drafter._bridge.target.decode([emitted])


def test_large_batches_are_not_drafted_for(folders: tuple[Any, str, str]) -> None:
    model, target, draft = folders
    proposer = Proposer(config(target, draft, max_requests=2))
    engine = Engine(model, proposer)
    for job in jobs(3, 4):
        job.most = 20
        engine.add(job)
    engine.step()
    assert [job.draft for job in engine.rows] == [[], [], []]
    engine.remove(engine.rows[0])
    engine.step()
    assert all(job.draft for job in engine.rows)


def test_proposals_stay_inside_the_window(folders: tuple[Any, str, str]) -> None:
    _, target, draft = folders
    proposer = Proposer(config(target, draft, window=12))
    ids = small.byte_fallback()("The quick brown fox")["input_ids"]
    for length in (9, 10, 11, 12):
        table = np.array([ids[:1] * length], dtype=np.int32)
        [proposed] = proposer.propose([[1]], np.array([length]), table)
        assert len(proposed) <= max(0, 12 - length - 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [({}, "serve-config"), ({"anydraft": {}}, "draft"), ({"anydraft": {"draft": "x", "drat": 1}}, "drat")],
)
def test_a_bad_configuration_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(anydraft.ArgumentError, match=said):
        Settings.of(given)


def test_requests_are_told_apart_by_their_ids() -> None:
    table = RequestTable(patience=2)
    rows = [np.array(ids, dtype=np.int32) for ids in ([1, 2, 3], [1, 2], [1, 2, 3])]
    assert table.match(rows) == [None, None, None]
    known = []
    for row in rows:
        known.append(Known(object()))
        known[-1].extend(row)
    assert table.seen(known) == []
    moved = [np.array(ids, dtype=np.int32) for ids in ([1, 2, 9], [1, 2, 3, 4])]
    assert table.match(moved) == [known[1], known[0]]
    known[1].extend(moved[0][2:])
    known[0].extend(moved[1][3:])
    assert table.seen([known[1], known[0]]) == []
    assert table.seen([known[1]]) == []
    assert table.seen([known[1]]) == [known[2]]
    assert table.match([moved[1]]) == [known[0]]  # a preempted request comes back


@pytest.mark.parametrize(("step", "least", "most"), [(0.01, 0.9, 1.0), (0.7, 0.0, 0.1)])
def test_drafting_stops_where_it_does_not_pay(
    folders: tuple[Any, str, str], monkeypatch: pytest.MonkeyPatch, step: float, least: float, most: float
) -> None:
    """By a clock that the server takes on by 1 a round, and each pass of the draft by ``step``."""
    model, target, _ = folders
    clock = Clock([0.0])
    proposer = Proposer(config(target, target, adapt="on"))
    passes = drafting.look_ahead

    def timed(*arguments: Any) -> Any:
        clock.now += step
        return passes(*arguments)

    monkeypatch.setattr(drafting, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(drafting, "look_ahead", timed)
    engine = Engine(model, proposer)
    job = Job(small.byte_fallback()("The quick brown")["input_ids"], 300)
    engine.add(job)
    while engine.rows:
        clock.now += 1.0
        engine.step()
    counts = proposer.drafter.counts
    assert least <= counts.drafted_rounds / counts.rounds <= most
    assert clock.now <= 1.05 * len(job.emitted)


def test_a_round_in_which_a_prompt_is_read_tells_nothing_of_plain_rounds(
    folders: tuple[Any, str, str],
) -> None:
    _, target, draft = folders
    drafter = Proposer(config(target, draft, adapt="on")).drafter
    ids = np.array(small.byte_fallback()("The quick brown")["input_ids"] * 4, dtype=np.int32)
    for step in range(10, 14):  # beside the first row, another whose prompt is still being read
        drafter.propose([ids[:step], ids[:9]], [1, 0], [100, 100])
    assert drafter._director(1).costs.plain() is None
    for step in range(14, 18):
        drafter.propose([ids[:step]], [1], [100])
    assert drafter._director(1).costs.plain() is not None


def test_what_is_no_round_tells_nothing(
    folders: tuple[Any, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new request after an hour, and a text to which its user has added, follow from no proposal."""
    _, target, draft = folders
    clock, seen = Clock([0.0]), []
    monkeypatch.setattr(drafting, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(drafting.Adaptive, "observe", lambda self, choice, played: seen.append(played))
    drafter = Proposer(config(target, draft, adapt="on")).drafter
    ids = np.array(small.byte_fallback()("The quick brown")["input_ids"] * 8, dtype=np.int32)

    def asked(row: Any, fresh: int = 1, pause: float = 1.0) -> None:
        clock.now += pause
        drafter.propose([row], [fresh], [300])

    for step in range(10, 14):
        asked(ids[:step])
    assert len(seen) == 3
    asked(ids[:40], fresh=27, pause=3600.0)
    asked(ids[5:20], pause=3600.0)
    asked(ids[5:20], pause=3600.0)  # the same again, as of one that wanted a single token
    assert len(seen) == 3
    assert drafter.counts.server_seconds == 3
    asked(ids[5:21])
    assert (len(seen), seen[-1].emitted) == (4, 1)
    drafter.forget()
    asked(ids[5:22])
    assert len(seen) == 4


class Unmasked:
    """Sequences of a draft that cannot look ahead, as llama.cpp's are."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self.model = LlamaCppModel(batch.model.vocab_size, 512, lambda _: pytest.fail("no context is needed"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)


def test_a_draft_of_another_engine_adapts_too(folders: tuple[Any, str, str]) -> None:
    _, target, draft = folders
    drafter = Proposer(config(target, draft, adapt="on")).drafter
    drafter._batch = Unmasked(drafter._batch)  # type: ignore[assignment]
    ids = np.array(small.byte_fallback()("The quick brown")["input_ids"] * 4, dtype=np.int32)
    found = [drafter.propose([ids[:step]], [1], [100])[0] for step in range(10, 20)]
    assert any(found)


def test_a_chat_is_read_back_from_its_ids() -> None:
    roles: Any = {"start_of_turn": (1,), "end_of_turn": (2,)}
    words = {3: b"system\nBe kind.", 4: b"user\nHello\nyou", 5: b"model\n", 6: b"\n", 7: b"assistant\nHi"}
    decode = lambda ids: b"".join(words.get(i, b"") for i in ids)  # noqa: E731
    assert messages_of([0, 1, 3, 2, 6, 1, 4, 2, 6, 1, 5], roles, decode) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello\nyou"},
    ]
    for other in ([4], [1, 4, 2], [1, 4, 2, 1, 7], [1, 4, 1, 5], [2, 1, 5], [1, 5], []):
        assert messages_of(other, roles, decode) is None


def test_our_own_work_does_not_grow_with_the_context(folders: tuple[Any, str, str]) -> None:
    """In lines and calls, and in memory: a list of the context alone would take ten times as much."""
    _, target, draft = folders

    def most(size: int) -> tuple[int, int, int]:
        proposer = Proposer(config(target, draft, window=10**6))
        ids = (small.byte_fallback()("The quick brown fox. ")["input_ids"][1:] * size)[:size]
        table = np.zeros((1, size + 400), dtype=np.int32)
        table[0, :size] = ids
        rounds = []
        for step in range(24):
            table[0, size + step] = ids[step]
            with counted() as work:
                assert proposer.propose([[ids[step]]], np.array([size + step + 1]), table)
            rounds.append((work.lines, work.c_calls.total(), work.memory))
        settled = rounds[4:]  # the first ones read the prompt
        return tuple(max(column) for column in zip(*settled, strict=True))  # type: ignore[return-value]

    for short, long in zip(most(1000), most(8000), strict=True):
        assert long < 2 * short
