"""Trees in llama.cpp that are interrupted, refused or fail: nothing of them stays in a cache."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.joint import advance_together
from anydraft.models.llama_cpp.source import LlamaCppSource
from anydraft.models.llama_cpp.trees import Trees
from files import opened
from trees_grown import spare


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
