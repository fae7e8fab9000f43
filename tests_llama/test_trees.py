"""Trees of tokens in llama.cpp: every path has the logits that it has as a line, and any path can be kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from anydraft.models.joint import advance_together
from anydraft.models.llama_cpp.context import Context
from anydraft.models.llama_cpp.source import LlamaCppSource
from files import TEXT, file, opened
from trees_grown import grow, path_to, spare

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
    assert grow(source.sequence(), other, ids) <= moves


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


def test_more_sequences_than_tokens_of_a_pass(ids: Tensor) -> None:
    source = LlamaCppSource(opened(n_batch=2))
    rows = source.sequences(5)
    found = advance_together(rows, [ids[i : i + 3] for i in range(5)], [1] * 5)
    for i, logits in enumerate(found):
        alone = source.sequence().advance(ids[i : i + 3])
        assert (logits - alone).abs().mean() < 0.5  # in passes of other tokens


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
