"""Where llama.cpp is asked for trees: a trial finds what is wrong, and elsewhere lines are drafted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import anydraft
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.loop import next_round
from anydraft.engine.begin import begin
from anydraft.engine.options import SamplingOptions
from anydraft.models.llama_cpp import source, trees
from anydraft.models.llama_cpp.shares import Share, shares
from anydraft.models.llama_cpp.source import LlamaCppSource
from files import alone, file, opened
from real_pair import PROMPTS
from recurrent_gguf import hybrid, mamba
from trees_grown import Beside


@pytest.mark.parametrize("make", [mamba, hybrid])
def test_a_model_with_a_state_reads_none(make: Any, tmp_path: Path) -> None:
    llama = opened(make(tmp_path / "model.gguf"), n_ctx=256, n_batch=64)
    model = LlamaCppSource(llama).sequence()
    assert not model.branches
    assert len(model.context.trees.spare) == 0


def test_where_trees_cannot_be_tried_a_decode_goes_on_with_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    llama = opened(n_batch=64)
    draft, tokenizer = anydraft.drafts.load("tiny")
    given: dict[str, Any] = {"method": "slem", "num_draft_tokens": 4, "memory": "off"}
    pair = anydraft.Speculator(llama, draft, None, tokenizer, **given)
    caches = pair.engine.caches()
    api = caches.target.context._api  # type: ignore[attr-defined]
    beside, real = Beside(monkeypatch), api.llama_init_from_model
    monkeypatch.setattr(api, "llama_init_from_model", lambda *_: None)
    out = pair.generate(PROMPTS[1], caches=caches, max_new_tokens=16)
    assert out.token_ids == alone(llama, out.prompt_ids, 16)
    assert out.stats.proposed > 0
    assert beside.trees == 0
    assert "lines are drafted" in caplog.text
    made: list[int] = []

    def counted(model: Any, params: Any) -> Any:
        made.append(params.n_ctx)
        return real(model, params)

    monkeypatch.setattr(api, "llama_init_from_model", counted)
    again = pair.generate(PROMPTS[1], caches=caches, max_new_tokens=16)
    assert again.token_ids == out.token_ids
    assert beside.trees > 2  # it is tried as soon as it can be
    assert made == [64]  # in a small context


def test_trees_are_tried_where_they_can_be_used_only(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = opened(n_batch=64)
    draft, tokenizer = anydraft.drafts.load("tiny")
    given: dict[str, Any] = {"method": "slem", "num_draft_tokens": 4, "memory": "off"}
    pair = anydraft.Speculator(llama, draft, None, tokenizer, **given)
    options = SamplingOptions(max_new_tokens=4)
    engine, prompt = pair.engine, pair.engine.prompt(PROMPTS[0])
    both = zip(engine.target_sequences(2), engine.draft_sequences(2), strict=True)
    next_round([begin(engine, prompt, PairCaches(*models), options) for models in both])
    pair.generate(PROMPTS[0], max_new_tokens=4, repetition_penalty=1.2)
    anydraft.Speculator(llama, draft, None, tokenizer, tree="off", **given).generate(
        PROMPTS[0], max_new_tokens=4
    )
    row = begin(engine, prompt, engine.caches(), options, together=1)
    engine.direct(row, 2)
    next_round([row])
    assert llama not in source._tried
    engine.direct(row, 1)
    assert source._tried[llama]


def all_on_the_first(share: Any) -> Any:
    return share._replace(paths=[[0] for _ in share.paths], number=1 + (share.number > 1))


def one_deeper(share: Any) -> Any:
    return share._replace(depths=[0, *(depth + 1 for depth in share.depths[1:])])


def as_a_line(share: Any) -> Any:
    return share._replace(depths=list(range(len(share.depths))), paths=[[0] for _ in share.paths])


def as_lines(share: Any) -> Any:
    return share._replace(depths=list(range(len(share.depths))))


def whole_of_the_first(_: Share, path: Sequence[int]) -> tuple[int, int]:
    return len(path), 0


def as_much_of_the_first(share: Share, path: Sequence[int]) -> tuple[int, int]:
    return KEPT(share, path)[0], 0


KEPT = Share.kept

OTHERS: list[tuple[Any, Any, dict[str, Any]]] = [
    ("smollm2", "own", {}),
    ("smollm2", "own", {"flash_attn": False}),
    ("smollm2", "q4_0", {"flash_attn": False}),  # rounding moves its logits by a tenth of their spread
    ("gemma3", "own", {}),  # and these by more than that spread
]


@pytest.mark.parametrize(("name", "kind", "options"), OTHERS)
def test_what_is_wrong_is_found_in_every_format(
    name: Any, kind: Any, options: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    llama = opened(file(name, kind), n_batch=64, **options)

    def reads() -> bool:
        monkeypatch.setattr(source, "_tried", {})
        return LlamaCppSource(llama).reads_trees()

    assert reads()
    for bug in (all_on_the_first, one_deeper, as_a_line, as_lines):
        monkeypatch.setattr(trees, "shares", lambda *given, bug=bug: [bug(part) for part in shares(*given)])
        assert not reads(), bug
    monkeypatch.setattr(trees, "shares", shares)
    for kept in (whole_of_the_first, as_much_of_the_first):
        monkeypatch.setattr(Share, "kept", kept)
        assert not reads(), kept


def test_a_context_that_rows_have_shared_reads_none() -> None:
    batch = LlamaCppSource(opened(n_batch=64)).batch()
    first = batch.add()
    assert first.branches
    second = batch.add()
    assert not first.branches
    second.close()
    assert not first.branches
