"""Trees of tokens in llama.cpp: every path has the logits that it has as a line, and any path can be kept."""

from __future__ import annotations

import gc
import weakref
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import anydraft
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.loop import next_round
from anydraft.engine.begin import begin
from anydraft.engine.options import SamplingOptions
from anydraft.errors import ArgumentError, ModelError
from anydraft.models.joint import advance_together
from anydraft.models.llama_cpp import source, trees
from anydraft.models.llama_cpp.context import Context
from anydraft.models.llama_cpp.sequences import LlamaCppModel
from anydraft.models.llama_cpp.shares import Share, shares
from anydraft.models.llama_cpp.source import LlamaCppSource
from anydraft.models.llama_cpp.trees import Trees
from anydraft.models.logits import processed_law
from enumeration import EnumeratingRandomness, branches
from files import alone, file, opened
from real_pair import PROMPTS
from recurrent_gguf import hybrid, mamba
from test_context import TEXT

TREES = [[0], [0, 0, 0], [0, 1, 2, 3], [0, 1, 0, 3, 1, 5, 0, 7], [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]]


def path_to(parents: Sequence[int], place: int) -> list[int]:
    """The tokens of the tree on the way to a place, by number."""
    return [] if place == 0 else [*path_to(parents, parents[place - 1]), place - 1]


@pytest.fixture(scope="module")
def llama() -> Iterator[Any]:
    made = opened(n_batch=32)
    yield made
    made.close()


@pytest.fixture(scope="module")
def ids(llama: Any) -> Tensor:
    return torch.tensor(llama.tokenize(TEXT.encode())[:400])


def grow(model: Any, other: Any, ids: Tensor, steps: int = 12, start: int = 40) -> float:
    """Trees one after the other, each path beside the same as a line: how far the worst is off."""
    chance = torch.Generator().manual_seed(0)
    text, far = ids[:start], 0.0
    for step in range(steps):
        parents = TREES[step % len(TREES)]
        tree = ids[torch.randint(len(ids), (len(parents),), generator=chance)]
        logits = model.branch(torch.cat((text[model.length :], tree)), parents)
        assert logits.shape == (len(parents) + 1, model.vocab_size)
        for place in range(len(parents) + 1):
            line = torch.cat((text, tree[path_to(parents, place)]))
            other.crop(len(text) - 1)
            expected = other.advance(line[other.length :], 1)[0]
            far = max(far, float((logits[place] - expected).abs().max()))
        other.crop(len(text) - 1)
        kept = path_to(parents, int(torch.randint(len(parents) + 1, (), generator=chance)))
        model.prune(len(text), kept)
        text = torch.cat((text, tree[kept]))
        assert model.length <= len(text)
        text = torch.cat((text, ids[start + step : start + step + 1 + step % 3]))
    return max(
        far, float((model.advance(text[model.length :]) - other.advance(text[other.length :])).abs().max())
    )


def spare(context: Any) -> list[int]:
    """The last positions of the sequences that are for trees only: -1 where they are empty."""
    return [context._api.llama_memory_seq_pos_max(context._memory, i) for i in context.trees.spare]


FORMATS: list[tuple[Any, Any, dict[str, Any]]] = [
    ("smollm2", "own", {}),
    ("smollm2", "q4_0", {}),
    ("smollm2", "own", {"type_k": 8, "type_v": 8}),  # keys and values of eight bits
    ("gemma3", "q4_0", {}),  # sliding windows
]


@pytest.mark.parametrize(("name", "kind", "options"), FORMATS)
def test_every_path_is_read_as_a_line_to_the_last_bit(name: Any, kind: Any, options: Any) -> None:
    llama = opened(file(name, kind), n_batch=64, **options)
    source = LlamaCppSource(llama)
    assert source.sequence().branches
    model = source.sequence()
    text = torch.tensor(llama.tokenize(TEXT.encode())[:400])
    assert grow(model, source.sequence(), text) == 0.0
    assert set(spare(model.context)) == {-1}


def test_elsewhere_paths_are_off_by_no_more_than_lines_in_other_passes() -> None:
    llama = opened(n_batch=64, flash_attn=False)
    source = LlamaCppSource(llama)
    assert source.sequence().branches
    ids = torch.tensor(llama.tokenize(TEXT.encode())[:400])
    whole = source.sequence().advance(ids[:60], 60)
    singly, other = source.sequence(), source.sequence()
    moves = max(
        float((singly.advance(part) - whole[i]).abs().max()) for i, part in enumerate(ids[:60].split(1))
    )
    assert 0 < grow(source.sequence(), other, ids) <= moves


@pytest.mark.parametrize("options", [{"n_batch": 4}, {"n_batch": 1}, {"n_ctx": 80}])
def test_trees_that_are_too_large_are_read_in_parts(options: Any, ids: Tensor) -> None:
    """Too many tokens for a pass, or for what is left of the window."""
    llama = opened(**{"n_batch": 64, **options})
    source = LlamaCppSource(llama)
    window = source.sequence().window or 0
    start = window - 40 if "n_ctx" in options else 40  # 40 tokens are left for twelve trees of up to ten
    assert grow(source.sequence(), source.sequence(), ids, steps=9, start=start) == 0.0


def test_a_tree_with_more_paths_than_sequences(llama: Any, ids: Tensor) -> None:
    model, other = LlamaCppSource(llama).sequence(), LlamaCppSource(llama).sequence()
    parents = [0] * 20 + [20]
    assert len(parents) > len(model.context.trees.spare) + 1
    logits = model.branch(torch.cat((ids[:30], ids[100:121])), parents)
    other.advance(ids[:30])
    for place in range(len(parents)):
        other.crop(30)
        assert torch.equal(logits[1 + place], other.advance(ids[100:121][path_to(parents, place + 1)])[0])
    model.prune(30, [17])
    assert model.length == 30 + 1  # the last part begins with it
    other.crop(30)
    other.advance(ids[[117]])
    assert torch.equal(model.advance(ids[3:5]), other.advance(ids[3:5]))
    assert set(spare(model.context)) == {-1}


def test_trees_of_several_rows_at_once(llama: Any, ids: Tensor) -> None:
    """Two with more paths together than there are sequences for, and a line between them."""
    source = LlamaCppSource(llama)
    rows: list[Any] = source.sequences(3)
    assert not any(row.branches for row in rows)  # by themselves: see there
    assert LlamaCppSource(llama).batch().add().branches
    shapes: list[list[int] | None] = [[0] * 12, None, [0] * 9 + [1, 10]]
    texts = [ids[10 * i : 10 * i + 20 + i] for i in range(3)]
    trees = [ids[200 + 20 * i :][: len(shape or [0, 1])] for i, shape in enumerate(shapes)]
    fed = [torch.cat(pair) for pair in zip(texts, trees, strict=True)]
    for row, text in zip(rows, texts, strict=True):
        row.advance(text[:-1])
    fed = [part[len(text) - 1 :] for part, text in zip(fed, texts, strict=True)]
    found = advance_together(rows, fed, [1 + len(tree) for tree in trees], shapes)
    other = source.sequence()
    for i in (0, 2):
        shape = shapes[i] or []
        for place in range(len(shape) + 1):
            other.crop(0)
            other.advance(texts[i][:-1])
            line = torch.cat((texts[i][-1:], trees[i][path_to(shape, place)]))
            assert torch.equal(found[i][place], other.advance(line)[0]), (i, place)
        rows[i].prune(len(texts[i]), path_to(shape, len(shape)))
    rows[1].crop(21)
    assert set(spare(rows[0].batch.context)) == {-1}
    for i, row in enumerate(rows):
        other.crop(0)
        text = torch.cat((texts[i], trees[i][path_to(shapes[i] or [], len(shapes[i] or []))]))
        other.advance(text[: row.length])
        moved = row.advance(ids[300:302]) - other.advance(ids[300:302])
        assert moved.abs().mean() < 0.5, i  # between other rows' keys sums have other orders


def test_a_tree_that_is_not_pruned_leaves_nothing(llama: Any, ids: Tensor) -> None:
    model, other = LlamaCppSource(llama).sequence(), LlamaCppSource(llama).sequence()
    for follow in ("crop", "advance", "branch"):
        model.crop(0)
        other.crop(0)
        other.advance(ids[:30])
        model.branch(torch.cat((ids[:30], ids[50:54])), [0, 0, 1, 0])
        assert max(spare(model.context)) > 0
        if follow == "crop":
            model.crop(25)
            other.crop(25)
        if follow == "branch":
            model.branch(torch.cat((ids[25:27], ids[60:63])), [0, 0, 0])
            model.prune(32, [])
            other.advance(ids[25:27])
        assert torch.equal(model.advance(ids[90:92]), other.advance(ids[90:92]))
        assert set(spare(model.context)) == {-1}


@pytest.mark.parametrize("call", ["llama_decode", "llama_memory_seq_cp", "llama_get_logits"])
def test_an_interrupt_inside_leaves_empty_caches(
    call: str, llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LlamaCppSource(llama).sequence()
    expected = model.advance(ids[:40])

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.context._api, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.branch(ids[40:45], [0, 0, 1])
    monkeypatch.undo()
    assert model.length == 0
    assert set(spare(model.context)) == {-1}
    assert torch.equal(model.advance(ids[:40]), expected)


def test_what_cannot_be_read_is_refused(llama: Any, ids: Tensor) -> None:
    model = LlamaCppSource(llama).sequence()
    with pytest.raises(ArgumentError, match="n >= keep >= 1"):
        model.branch(ids[:3], [0, 0, 0])
    with pytest.raises(ArgumentError, match="expected ids from 0"):
        model.branch(torch.tensor([1, 49152]), [0])
    model.advance(ids.repeat(2)[:510])
    with pytest.raises(ModelError, match="larger n_ctx"):
        model.branch(ids[:4], [0, 1])


def test_more_sequences_than_tokens_of_a_pass(ids: Tensor) -> None:
    source = LlamaCppSource(opened(n_batch=2))
    rows = source.sequences(5)
    found = advance_together(rows, [ids[i : i + 3] for i in range(5)], [1] * 5)
    for i, logits in enumerate(found):
        alone = source.sequence().advance(ids[i : i + 3])
        assert (logits - alone).abs().mean() < 0.5  # in passes of other tokens


@pytest.mark.parametrize("make", [mamba, hybrid])
def test_a_model_with_a_state_reads_none(make: Any, tmp_path: Path) -> None:
    llama = opened(make(tmp_path / "model.gguf"), n_ctx=256, n_batch=64)
    model = LlamaCppSource(llama).sequence()
    assert not model.branches
    assert len(model.context.trees.spare) == 0


def test_a_context_is_freed_with_the_last_that_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    llama = opened(n_ctx=64)
    freed: list[Any] = []
    api = LlamaCppSource(llama).batch(1).context._api
    free = api.llama_free
    monkeypatch.setattr(api, "llama_free", lambda handle: (freed.append(handle), free(handle)))
    gc.collect()
    gc.disable()
    try:
        batch = LlamaCppSource(llama).batch(2)
        context = weakref.ref(batch.context)
        batch.add().branch(torch.arange(5), [0, 0])
        assert context() is not None
        freed.clear()
        del batch
        assert context() is None
        assert len(freed) == 1
    finally:
        gc.enable()


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


class Once:
    """A function of llama.cpp that is interrupted at one of its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, api: Any, name: str, at: int) -> None:
        self.left, self._real = at, getattr(api, name)
        monkeypatch.setattr(api, name, self)

    def __call__(self, *given: Any) -> Any:
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt
        return self._real(*given)


@pytest.mark.parametrize("where", ["parts", "prune", "crop"])
@pytest.mark.parametrize("at", [0, 1, 2, 15, 16])
def test_an_interrupt_that_comes_while_a_tree_is_removed_leaves_nothing(
    where: str, at: int, llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first part there are seventeen sequences, of the second three."""
    model, fresh = LlamaCppSource(llama).sequence(), LlamaCppSource(llama).sequence()
    text, tree, parents = ids[:30], ids[100:120], [0] * 20
    calls = {
        "parts": lambda: model.branch(torch.cat((text, tree)), parents),
        "prune": lambda: model.prune(30, [17]),
        "crop": lambda: model.crop(20),
    }
    if where != "parts":
        calls["parts"]()
    Once(monkeypatch, model.context._api, "llama_memory_seq_rm", at if where == "parts" else at % 3)
    with pytest.raises(KeyboardInterrupt):
        calls[where]()
    monkeypatch.undo()
    if where != "crop":
        assert model.length == 0
        assert set(spare(model.context)) == {-1}
    found = []
    for each in (model, fresh):
        each.crop(20)
        found.append(each.branch(torch.cat((text[each.length :], tree)), parents))
        each.prune(30, [17])
    assert torch.equal(*found)
    assert torch.equal(model.advance(ids[3:5]), fresh.advance(ids[3:5]))
    assert set(spare(model.context)) == {-1}


def test_there_are_no_more_sequences_than_llama_cpp_takes(
    llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = LlamaCppSource(llama).batch().context._api
    monkeypatch.setattr(api, "llama_max_parallel_sequences", lambda: 5)
    assert [len(Context(llama, count, window=64).trees.spare) for count in (1, 3, 5)] == [4, 2, 0]
    rows: list[Any] = LlamaCppSource(llama).sequences(5)
    assert not rows[0].branches
    monkeypatch.undo()
    many = Context(opened(n_ctx=64, n_batch=300), 250, window=1)  # real ones: no more than 256
    assert len(many.trees.spare) == 6


def test_what_a_long_path_leaves_is_read_with_the_next_tree(
    llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pass, as it is counted."""
    model, other = LlamaCppSource(llama).sequence(), LlamaCppSource(llama).sequence()
    path = list(range(1, 17))
    model.branch(torch.cat((ids[:30], ids[100:117])), [0, 0, *range(2, 17)])
    model.prune(30, path)
    assert model.length == 30
    api, passes = model.context._api, []
    real = api.llama_decode
    monkeypatch.setattr(api, "llama_decode", lambda *given: (passes.append(1), real(*given))[1])
    logits = model.branch(torch.cat((ids[101:117], ids[50:54])), [0, 1, 0])
    assert len(passes) == 1
    monkeypatch.undo()
    other.advance(torch.cat((ids[:30], ids[101:117])))
    assert torch.equal(logits[:3], other.advance(ids[50:53], 3))


def test_a_failed_pass_of_several_rows_leaves_no_tree(
    llama: Any, ids: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Any] = LlamaCppSource(llama).sequences(2)
    context, real = rows[0].batch.context, Trees.read

    def fails(own: Trees, row: int, *given: Any) -> Tensor:
        if row == 1:
            raise ModelError("no")
        return real(own, row, *given)

    monkeypatch.setattr(Trees, "read", fails)
    with pytest.raises(ModelError, match="no"):
        advance_together(rows, [ids[:9], ids[:9]], [4, 4], [[0, 0, 0], [0, 0, 0]])
    assert set(spare(context)) == {-1}
    assert context.lengths == [6, 0]


# Mistakes.


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


# Decodes.


class Beside:
    """How often trees were read, and how often what held was not all of the line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trees = self.bent = 0
        prune = Trees.prune

        def counted(own: Trees, row: int, length: int, path: Sequence[int]) -> None:
            self.trees += 1
            self.bent += list(path) != list(range(len(path)))
            prune(own, row, length, path)

        monkeypatch.setattr(Trees, "prune", counted)


@cache
def shared() -> Any:
    return opened()


def speculator(**options: Any) -> anydraft.Speculator:
    draft, tokenizer = anydraft.drafts.load("tiny")
    given = {"method": "slem", "num_draft_tokens": 4, "memory": "off", **options}
    return anydraft.Speculator(shared(), draft, None, tokenizer, **given)


def test_greedy_is_llama_cpps_own_with_fewer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, lines = speculator(), speculator(tree="off")
    assert trees.engine.sequences()[0].branches  # type: ignore[attr-defined]
    beside = Beside(monkeypatch)
    passes = {"trees": 0, "lines": 0}
    for prompt in (PROMPTS[1], PROMPTS[4]):
        out, plain = (pair.generate(prompt, max_new_tokens=48) for pair in (trees, lines))
        assert out.token_ids == plain.token_ids == alone(trees.engine.models[0], out.prompt_ids, 48)
        for name, each in (("trees", out), ("lines", plain)):
            passes[name] += each.stats.target_passes
            print(
                f"{prompt[:30]!r}, {name}: {len(each.token_ids)} tokens in {each.stats.target_passes} passes"
            )
    assert beside.bent > 0
    assert passes["trees"] < passes["lines"]


def test_a_decode_that_keeps_the_wrong_tokens_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = speculator()
    llama = pair.engine.models[0]
    assert pair.engine.sequences()[0].branches  # type: ignore[attr-defined]
    monkeypatch.setattr(Share, "kept", lambda _, path: (len(path), 0))
    outs = [pair.generate(prompt, max_new_tokens=32) for prompt in PROMPTS[:6]]
    assert any(out.token_ids != alone(llama, out.prompt_ids, 32) for out in outs)


CUT: dict[str, Any] = {"temperature": 1.5, "top_k": 3}


def off_the_law(monkeypatch: pytest.MonkeyPatch, method: Any) -> float:
    """Total variation between the first two tokens that are emitted and llama.cpp alone, by enumeration."""
    pair = speculator(method=method, num_draft_tokens=1)
    ids, caches = pair.engine.prompt("def fib(n):").ids, pair.engine.caches()

    def run(oracle: EnumeratingRandomness) -> tuple[int, ...]:
        monkeypatch.setattr("anydraft.engine.begin.SeededRandomness", lambda *_, **__: oracle)
        out = pair.generate(input_ids=ids, caches=caches, max_new_tokens=2, eos_token_id=[0], **CUT)
        return tuple(out.token_ids)

    found: dict[tuple[int, ...], float] = defaultdict(float)
    for oracle, said in branches(run):
        found[said] += oracle.probability
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-5)
    theirs, law = opened(logits_all=True), processed_law(**CUT)
    expected: dict[tuple[int, ...], float] = {}
    for first, p in enumerate(law_of(theirs, ids, law)):
        if p > 0:
            seconds = law_of(theirs, [*ids, first], law)
            expected |= {(first, i): p * q for i, q in enumerate(seconds) if q > 0}
    return 0.5 * sum(abs(found.get(key, 0.0) - expected.get(key, 0.0)) for key in {*found, *expected})


def law_of(llama: Any, ids: list[int], law: Any) -> list[float]:
    llama.reset()
    llama.eval(ids)
    logits = torch.from_numpy(llama.scores[len(ids) - 1 : len(ids)].copy())
    return list(law.without_prefix(logits)[0].double().tolist())


@pytest.mark.parametrize("method", ["slem", "slrs"])
def test_samples_with_trees_have_the_law_of_llama_cpps_own_logits(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    LlamaCppSource(shared()).reads_trees()  # the trial is not counted
    beside = Beside(monkeypatch)
    assert off_the_law(monkeypatch, method) < 1e-5
    assert beside.bent > 0


def test_logits_of_the_wrong_places_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    read = LlamaCppModel.branch

    def shifted(model: LlamaCppModel, ids: Tensor, parents: Sequence[int]) -> Tensor:
        logits = read(model, ids, parents)
        return torch.cat((logits[:1], logits[1:].roll(1, 0)))

    monkeypatch.setattr(LlamaCppModel, "branch", shifted)
    assert off_the_law(monkeypatch, "slem") > 1e-3
