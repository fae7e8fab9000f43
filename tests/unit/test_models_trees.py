"""A tree of tokens in one pass: each has the logits that its path has by itself, and any path can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
from anydraft.models.base import OWN_PASSES, Branching
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel
from anydraft.models.trees import TreeLayout, tree_fault

CLOSE = {"rtol": 1e-4, "atol": 5e-5}  # on processors with AVX2 alone float32 has been off by more than 1e-5
MODELS = [tiny.llama, tiny.gemma3, tiny.mistral, tiny.qwen2, tiny.qwen3, tiny.olmo2]
TREES = [[0], [0, 0, 0], [0, 1, 2, 3], [0, 1, 0, 3, 1, 5, 0, 7], [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]]


def path_to(parents: Sequence[int], place: int) -> list[int]:
    """The tokens of the tree on the way to a place, by number."""
    return [] if place == 0 else [*path_to(parents, parents[place - 1]), place - 1]


def fresh(model: Any, *parts: Tensor) -> Tensor:
    return TransformersModel(model).advance(torch.cat(parts))[0]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("passes", [OWN_PASSES, FastPasses()], ids=["own", "fast"])
@pytest.mark.parametrize("make", MODELS)
def test_every_path_is_read_as_if_alone(make: Any, passes: Any, attention: str) -> None:
    """Far beyond the sliding window and the chunks of 16 tokens, at every place before and behind an end."""
    model = make()
    model.config._attn_implementation = attention
    chance = torch.Generator().manual_seed(0)
    opened = TransformersModel(model, passes)
    assert isinstance(opened, Branching)
    assert opened.branches
    text = tiny.ids(11)
    for step in range(14):
        parents = TREES[step % len(TREES)]
        tree = tiny.ids(len(parents), seed=100 + step)
        logits = opened.branch(torch.cat((text[opened.length :], tree)), parents)
        for place in range(len(parents) + 1):
            expected = fresh(model, text, tree[path_to(parents, place)])
            assert torch.allclose(logits[place], expected, **CLOSE), (step, place)
        kept = path_to(parents, int(torch.randint(len(parents) + 1, (), generator=chance)))
        opened.prune(len(text), kept)
        text = torch.cat((text, tree[kept]))
        assert opened.length == len(text)
        text = torch.cat((text, tiny.ids(1 + step % 3, seed=step)))  # and what was drawn behind it
    assert torch.allclose(opened.advance(text[opened.length :])[0], fresh(model, text), **CLOSE)


def test_a_prompt_is_read_before_the_tree() -> None:
    model = tiny.gemma3()
    text, tree = tiny.ids(40), tiny.ids(3, seed=1)
    opened = TransformersModel(model, FastPasses())
    logits = opened.branch(torch.cat((text, tree)), [0, 0, 2])
    assert torch.allclose(logits[3], fresh(model, text, tree[1:]), **CLOSE)
    opened.prune(40, [1, 2])
    assert opened.length == 42


def test_a_layout_by_hand() -> None:
    layout = TreeLayout([0, 1, 0], 2, 4, torch.device("cpu"))
    assert layout.positions.tolist() == [2, 3, 4, 3]
    assert layout.mask(None)[0, 0].int().tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],
    ]
    assert layout.mask(2)[0, 0].int().tolist() == [
        [1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 1, 0, 0, 1],
    ]
    assert layout.mask(4, chunked=True)[0, 0].int().tolist()[2] == [0, 0, 0, 0, 1, 0]


def test_models_that_read_no_trees_say_so() -> None:
    model = tiny.llama()
    model.config._attn_implementation = "flex_attention"
    assert not TransformersModel(model).branches
    assert not TransformersModel(tiny.llama4()).branches  # whose scales go by places in the cache
    opened = TransformersModel(tiny.llama())
    assert opened.branches
    opened.token_types = torch.zeros(1, dtype=torch.int64)
    assert not opened.branches
    whole, in_place, by_forward = (tiny.llama() for _ in range(3))  # which every tree would compile again
    in_place.compile()
    by_forward.forward = torch.compile(by_forward.forward)
    for compiled in (torch.compile(whole), in_place, by_forward):
        assert not TransformersModel(compiled).branches


class Blind(TransformersModel):
    """Lets all tokens of a tree see each other."""

    def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
        return self.advance(ids, 1 + len(parents))


class Careless(TransformersModel):
    """Keeps the first tokens of a tree, whichever are asked for."""

    def prune(self, length: int, path: Sequence[int]) -> None:
        self.crop(length + len(path))


@pytest.mark.parametrize("kind", [Blind, Careless])
def test_a_model_that_reads_trees_wrongly_is_found(kind: type[TransformersModel]) -> None:
    model: Any = tiny.llama()
    assert tree_fault(lambda: TransformersModel(model), model) == ""
    assert tree_fault(lambda: kind(model), model) != ""


def test_one_that_raises_is_found_too() -> None:
    class Raising(TransformersModel):
        def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
            raise ValueError("no such mask")

    model: Any = tiny.llama()
    assert "no such mask" in tree_fault(lambda: Raising(model), model)


def test_an_interrupted_pass_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.llama()
    opened = TransformersModel(model)
    text, tree = tiny.ids(9), tiny.ids(3, seed=1)
    opened.branch(torch.cat((text, tree)), [0, 0, 2])
    layer = opened.cache.layers[1]
    monkeypatch.setattr(type(layer), "gather", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        opened.prune(9, [1, 2])
    assert opened.length == 0
