"""A target in llama.cpp behind the server: requests share passes, and say what each says alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
from anydraft.models.llama_cpp.context import Context
from anydraft.models.llama_cpp.source import LlamaCppSource
from files import Kind, file, opened
from jobs import Asked, running, texts
from real_pair import PROMPTS
from resident import resident, told
from served import served, waited
from tiny_gguf import write

SOME = PROMPTS[:8]
NEW = 20


@pytest.fixture(scope="module")
def pair() -> anydraft.Speculator:
    """With all layers in four bits, and a draft in torch."""
    draft, tokenizer = anydraft.drafts.load("tiny")
    return anydraft.Speculator(opened(), draft, None, tokenizer, num_draft_tokens=4)


@contextmanager
def widths(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Rows of every pass."""
    found: list[int] = []
    real = Context.advance

    def counted(self: Context, rows: Any, ids: Any, keep: Any) -> Any:
        found.append(len(rows))
        return real(self, rows, ids, keep)

    monkeypatch.setattr(Context, "advance", counted)
    yield found


def asked(pair: anydraft.Speculator, **options: Any) -> list[Asked]:
    return [Asked(pair, text, max_new_tokens=NEW, **options) for text in SOME]


def near_tie(pair: anydraft.Speculator, prompt: str, ours: list[int], theirs: list[int]) -> bool:
    """Whether two texts part where llama.cpp's logits move by as much as the two tokens are apart.

    They are read alone in passes of several sizes, and in company: passes over some 64 tokens and more, such
    as those over eight rows with a block each, have kernels of their own.
    """
    at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b)
    source = LlamaCppSource(pair.engine.models[0])
    text = torch.tensor(pair.engine.prompt(prompt).ids + ours[:at])
    forms = []
    for size in (1, 2, 5, len(text)):
        model = source.sequence()
        forms.append(torch.cat([model.advance(part) for part in text.split(size)])[-1])
    for others, block in product((1, 3, 7), (1, 8)):
        batch = source.batch(others + 1)
        rows = [batch.add().row for _ in range(others + 1)]
        for start in range(0, len(text), block):
            ids = [text.roll(i)[start : start + block] for i in range(others + 1)]
            found = batch.advance(rows, ids, [1] * len(ids))
        forms.append(found[0][-1])
    moves = max(float((form - forms[0]).abs().max()) for form in forms)
    gap = abs(float(forms[0][ours[at]] - forms[0][theirs[at]]))
    print(f"{prompt[:20]!r}: differs after {at}; gap {gap:.3f}, llama.cpp's own moves {moves:.3f}")
    return gap <= moves


@pytest.mark.parametrize(("kind", "flash"), [("own", True), ("own", False), ("f16", True)])
def test_requests_share_passes_and_say_what_each_says_alone(
    kind: Kind, flash: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, tokenizer = anydraft.drafts.load("tiny")
    target = opened(file(kind=kind), flash_attn=flash)
    pair = anydraft.Speculator(target, draft, None, tokenizer, num_draft_tokens=4)
    alone = [pair.generate(text, max_new_tokens=NEW) for text in SOME]
    with widths(monkeypatch) as seen, running(pair) as scheduler:
        for method in ("none", None):
            ours = asked(pair, method=method)
            texts(scheduler, ours)
            equal = 0
            for one, out, prompt in zip(ours, alone, SOME, strict=True):
                said = [token for event in one.events for token in event.token_ids]
                equal += said == out.token_ids
                assert said == out.token_ids or near_tie(pair, prompt, said, out.token_ids)
            print(f"{kind}, flash {flash}, {method}: {equal} of {len(SOME)} equal")
            assert equal >= len(SOME) // 2
        assert max(seen) == len(SOME)
        assert pair.engine.places().joint


def test_rows_leave_and_others_come(pair: anydraft.Speculator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More requests than places, of several lengths; a place serves again and starts empty."""
    made: list[int] = []
    real = Context.__init__

    def counted(self: Context, llama: Any, count: int = 1) -> None:
        made.append(count)
        real(self, llama, count)

    monkeypatch.setattr(Context, "__init__", counted)
    ours = [Asked(pair, SOME[i % 4], max_new_tokens=6 + 3 * (i % 3)) for i in range(14)]
    with running(pair, max_batch=3) as scheduler:
        texts(scheduler, ours)
        for i, one in enumerate(ours):
            assert len([token for event in one.events for token in event.token_ids]) == 6 + 3 * (i % 3)
        assert waited(lambda: scheduler.running == 0)
    assert max(made) == 4  # sequences of n_ctx tokens, however many requests there were


def test_a_draft_in_llama_cpp_has_one_context_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    target, tokenizer = anydraft.drafts.load("tiny")
    made = anydraft.Speculator(target, opened(), tokenizer, num_draft_tokens=3, tree="off")  # as with a seed
    alone = [made.generate(text, max_new_tokens=12).text for text in SOME[:4]]
    sampled = {"temperature": 0.9, "seed": 3, "max_new_tokens": 12}
    seeded = made.generate(SOME[0], **sampled).text
    contexts: list[int] = []
    real = Context.__init__

    def counted(self: Context, llama: Any, count: int = 1) -> None:
        contexts.append(count)
        real(self, llama, count)

    monkeypatch.setattr(Context, "__init__", counted)
    with running(made) as scheduler:
        ours = [Asked(made, text, max_new_tokens=12) for text in SOME[:4]]
        one = Asked(made, SOME[0], **sampled)
        found = texts(scheduler, [*ours, one, Asked(made, SOME[5], method="none", max_new_tokens=12)])
        texts(scheduler, [Asked(made, SOME[5], method="none", max_new_tokens=3) for _ in range(3)])
    assert found[:4] == alone  # the target is torch's, in float32
    assert found[4] == seeded  # whoever else is there
    assert sum(one.events[-1].accepted >= 0 for one in ours) == 4
    assert sorted(contexts) == [1, 2, 4]  # what those above left serves again; one is for the seed


def test_the_official_client_with_several_texts_and_logprobs(pair: anydraft.Speculator) -> None:
    with served(pair) as server, ThreadPoolExecutor(4) as threads:
        create: Any = server.client().chat.completions.create

        def say(text: str) -> Any:
            asked: Any = [{"role": "user", "content": text}]
            return create(
                model="model",
                messages=asked,
                max_tokens=8,
                temperature=0,
                n=2,
                logprobs=True,
                top_logprobs=2,
            )

        answers = list(threads.map(say, ["Name a colour.", "Count to ten.", "Why?", "Say no."]))
    for answer in answers:
        for choice in answer.choices:
            text = b"".join(bytes(one.bytes) for one in choice.logprobs.content).decode()
            assert text == choice.message.content
            assert all(one.logprob <= 0 for one in choice.logprobs.content)


def test_a_larger_context_takes_over_what_is_cached() -> None:
    llama = opened(file("gemma3"), n_ctx=256)
    small, ids = Context(llama, 2), torch.arange(50, 130)
    small.advance([0, 1], [ids[:60], ids[10:30]], [1, 1])
    small.crop(0, 50)
    large = small.grown(5)
    assert large.lengths == [50, 20, 0, 0, 0]
    for row in (0, 1):  # keys and values, to the last bit
        assert bytes(large._saved(row)) == bytes(small._saved(row))
    assert bytes(large._saved(0)) != bytes(large._saved(1))
    assert torch.equal(large.advance([0], [ids[50:53]], [3])[0], small.advance([0], [ids[50:53]], [3])[0])
    assert large.lengths == [53, 20, 0, 0, 0]
    for context in (small, large):
        context.crop(0, 10)
    assert bytes(large._saved(0)) == bytes(small._saved(0))


def test_where_there_is_no_room_for_a_larger_context(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = LlamaCppSource(opened(n_ctx=128)).batch()
    row = batch.add()
    expected = row.advance(torch.arange(9))

    def no(*_: Any) -> None:
        return None

    monkeypatch.setattr(batch.context._api, "llama_init_from_model", no)
    with pytest.raises(anydraft.ModelError, match="smaller n_ctx"):
        batch.add()
    monkeypatch.undo()
    monkeypatch.setattr(batch.context._api, "llama_max_parallel_sequences", lambda: 1)
    with pytest.raises(anydraft.ModelError, match="one more sequence than 1"):
        batch.add()
    monkeypatch.setattr(batch.context._api, "llama_max_parallel_sequences", lambda: 3)
    others = [batch.add() for _ in range(2)]
    assert len(batch.context.lengths) == 3
    for other in others:
        other.close()
    monkeypatch.undo()
    assert len(batch) == 1
    row.crop(0)
    assert torch.equal(row.advance(torch.arange(9)), expected)


@told
def test_requests_leave_no_trace(tmp_path: Path) -> None:
    """Contexts come and go with the load."""
    llama = opened(write(tmp_path / "tiny.gguf"), n_ctx=256)
    made = anydraft.Speculator(llama, llama, num_draft_tokens="auto")
    sizes = []
    with running(made, max_batch=6) as scheduler:
        for _ in range(2):
            for start in range(0, 240, 12):
                ours = [
                    Asked(
                        made,
                        "the thing " * (1 + i % 5),
                        max_new_tokens=3 + i % 9,
                        temperature=0.7 * (i % 2),
                        seed=i if i % 3 == 0 else None,
                    )
                    for i in range(start, start + 12)
                ]
                texts(scheduler, ours)
                assert waited(lambda: scheduler.running == 0)
            sizes.append(resident())
    print(sizes)
    assert sizes[1] < sizes[0] * 1.02
