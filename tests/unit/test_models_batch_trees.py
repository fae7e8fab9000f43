"""Trees in rows of one pass: each path has the logits that it has by itself, whatever the other rows read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

import tiny
from anydraft.models.base import OWN_PASSES, Branching
from anydraft.models.batch import TransformersBatch, sequences
from anydraft.models.fast.runner import FastPasses
from anydraft.models.joint import NO_TREES, advance_together
from anydraft.models.ragged import Layout
from anydraft.models.transformers import TransformersModel
from test_models_trees import CLOSE, MODELS, TREES, fresh, path_to


def off(model: Any, passes: Any = OWN_PASSES, *, steps: int = 9, rows: int = 3) -> float:
    """How far the worst logits of any path of any row are from those of the path by itself.

    In every round some rows read trees, others lines; texts of different lengths go beyond sliding windows.
    """
    batch, far = sequences(model, rows, passes), 0.0
    chance = torch.Generator().manual_seed(0)
    texts = [tiny.ids(5 + 9 * i, seed=i) for i in range(rows)]
    for step in range(steps):
        parents: list[list[int] | None] = [TREES[(step + 2 * i) % len(TREES)] for i in range(rows)]
        parents[step % rows] = None if step % 2 else parents[step % rows]
        trees = [tiny.ids(len(tree or [0, 1]), seed=100 + 9 * step + i) for i, tree in enumerate(parents)]
        fed = [torch.cat((text[m.length :], tree)) for m, text, tree in zip(batch, texts, trees, strict=True)]
        found = advance_together(batch, fed, [1 + len(tree) for tree in trees], parents)
        for i, logits in enumerate(found):
            shape = parents[i] or [0, 1]
            for place in range(len(shape) + 1):
                expected = fresh(model, texts[i], trees[i][path_to(shape, place)])
                far = max(far, float((logits[place] - expected).abs().max()))
            kept = path_to(shape, int(torch.randint(len(shape) + 1, (), generator=chance)))
            if parents[i] is None:
                batch[i].crop(len(texts[i]) + len(kept))
            else:
                batch[i].prune(len(texts[i]), kept)  # type: ignore[attr-defined]
            texts[i] = torch.cat((texts[i], trees[i][kept]))
            assert batch[i].length == len(texts[i])
            texts[i] = torch.cat((texts[i], tiny.ids(1 + (step + i) % 3, seed=step)))
    for text, row in zip(texts, batch, strict=True):
        far = max(far, float((row.advance(text[row.length :])[0] - fresh(model, text)).abs().max()))
    return far


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("passes", [OWN_PASSES, FastPasses()], ids=["own", "fast"])
@pytest.mark.parametrize("make", MODELS)
def test_every_path_of_every_row_is_read_as_if_alone(make: Any, passes: Any, attention: str) -> None:
    model = make()
    model.config._attn_implementation = attention
    first = sequences(model, 2, passes)[0]
    assert isinstance(first, Branching)
    assert first.branches
    assert off(model, passes) < 1e-4


def test_a_row_by_itself_reads_trees_while_others_sit_still() -> None:
    model = tiny.gemma3()
    one, other = sequences(model, 2)
    text, tree = tiny.ids(30), tiny.ids(3, seed=1)
    other.advance(tiny.ids(7, seed=2))
    logits = one.branch(torch.cat((text, tree)), [0, 0, 2])  # type: ignore[attr-defined]
    assert torch.allclose(logits[3], fresh(model, text, tree[1:]), **CLOSE)
    one.prune(30, [1, 2])  # type: ignore[attr-defined]
    more = tiny.ids(1, seed=3)
    assert torch.allclose(one.advance(more)[0], fresh(model, text, tree[1:], more), **CLOSE)
    assert torch.allclose(other.advance(more)[0], fresh(model, tiny.ids(7, seed=2), more), **CLOSE)


def test_rows_that_read_no_trees_say_so() -> None:
    model = tiny.llama()
    rows: Any = sequences(model, 2)
    rows[0].token_types = torch.zeros(1, dtype=torch.int64)
    assert [row.branches for row in rows] == [False, True]
    model.config._attn_implementation = "flex_attention"
    assert not rows[1].branches


def test_an_interrupted_prune_leaves_an_empty_row(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama()
    one, other = sequences(model, 2)
    other.advance(tiny.ids(4))
    one.branch(tiny.ids(9), [0, 0, 2])  # type: ignore[attr-defined]
    monkeypatch.setattr(
        "anydraft.models.ragged.RaggedLayer.gather", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        one.prune(6, [1, 2])  # type: ignore[attr-defined]
    assert (one.length, other.length) == (0, 4)


# Mistakes.


def test_a_mask_of_the_wrong_row_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Layout.plan

    def swapped(self: Layout, slot: int, starts: Any, counts: Any, trees: Any = NO_TREES) -> None:
        plan(self, slot, starts, counts, trees)
        self.trees = {}  # everyone sees all that lies before it

    monkeypatch.setattr(Layout, "plan", swapped)
    assert off(tiny.llama()) > 1e-2


def test_positions_of_a_line_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Layout.plan

    def lined(self: Layout, slot: int, starts: Any, counts: Any, trees: Any = NO_TREES) -> None:
        plan(self, slot, starts, counts, trees)
        self.positions = self._lined

    monkeypatch.setattr(Layout, "plan", lined)
    assert off(tiny.llama()) > 1e-2


def test_keys_that_stay_where_they_were_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def prune(self: TransformersBatch, row: int, length: int, path: Sequence[int]) -> None:
        self.crop(row, length + len(path))

    monkeypatch.setattr(TransformersBatch, "prune", prune)
    assert off(tiny.llama()) > 1e-2


def test_a_row_has_in_company_what_its_model_has_alone() -> None:
    """So a seed repeats: the same trees, wherever a row is."""
    for make in [*MODELS, tiny.llama4]:
        model = make()
        alone, rows = TransformersModel(model).branches, sequences(model, 2)
        assert [getattr(row, "branches", False) for row in rows] == [alone, alone]


@torch.no_grad()
def test_a_prompt_is_read_before_its_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """As prompts are, and not with masks that would be as wide as it is long."""
    model = tiny.llama()
    row = sequences(model, 2)[0]
    prompt, parents = tiny.ids(30), TREES[-1]
    tree = tiny.ids(len(parents), seed=1)
    read = TransformersBatch.advance
    sizes: list[int] = []

    def noting(self: TransformersBatch, rows: Any, ids: Any, *given: Any) -> Any:
        sizes.append(len(ids[0]))
        return read(self, rows, ids, *given)

    monkeypatch.setattr(TransformersBatch, "advance", noting)
    assert isinstance(row, Branching)
    found = row.branch(torch.cat((prompt, tree)), parents)
    assert sizes == [len(prompt) - 1, 1 + len(tree)]
    for place in range(len(parents) + 1):
        expected = fresh(model, prompt, tree[path_to(parents, place)])
        torch.testing.assert_close(found[place], expected, **CLOSE)
