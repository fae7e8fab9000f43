"""Trees in ``generate`` of transformers: the same ids, scores, logits, caches and laws as without.

That trees are really there, and that tokens beside the line are kept, is counted. The mistakes that could go
unnoticed are made on purpose.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import anydraft
import generate_cases
import trained
from anydraft.integrations.transformers.method import CustomGenerate
from anydraft.integrations.transformers.recording import RecordingLaw
from anydraft.models.transformers import TransformersModel
from anydraft.proposers import branches, draw
from anydraft.proposers.base import Block, DraftContext
from generating import World, assert_same
from test_integrations_parity import CASES, CLOSE, PROMPTS
from test_integrations_sampling import CUT, ENDLESS, EXACT, alone, distance, emitted

SHOWN = [
    "nothing",
    "end tokens",
    "stop strings",
    "suppress_tokens",
    "scores",
    "scores and logits",
    "scores at a stop",
    "criterion of scores",
    "hidden states",
    "own cache",
    "bare cache",
    "half-filled cache",
    "use_cache",
    "streamer and a stop",
    "one padded row",
    "sampling values",
]
"""Calls with a single row; those of penalties draft lines."""
LINES = ["repetition_penalty", "several penalties", "guidance", "processor", "trie", "SynthID"]


class Beside:
    """How often kept places were those of a tree, and not the first ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trees = self.bent = 0
        prune = TransformersModel.prune

        def counted(model: TransformersModel, length: int, path: Any) -> None:
            self.trees += 1
            self.bent += list(path) != list(range(len(path)))
            prune(model, length, path)

        monkeypatch.setattr(TransformersModel, "prune", counted)


@pytest.fixture(autouse=True)
def broad(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees with all that came close, whether or not a wider pass would pay."""

    def branched(block: Block, likely: tuple[Tensor, Tensor], context: DraftContext) -> Block:
        return branches.branched(block, likely, replace(context, least=0.0))

    monkeypatch.setattr(draw, "branched", branched)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Beside:
    return Beside(monkeypatch)


def noisy(model: Any, size: float) -> Any:
    """A copy that is often wrong at first, where what came close is right."""
    made, chance = copy.deepcopy(model), torch.Generator().manual_seed(0)
    for weight in made.parameters():
        if weight.dim() == 2:
            weight.add_(torch.randn(weight.shape, generator=chance) * weight.std() * size)
    return made


def with_noise(prompts: list[str], **options: Any) -> World:
    """The target has been tried on trees."""
    target, _, tokenizer, _ = trained.pair()
    made = World(target, noisy(target, 0.7), tokenizer, copy.deepcopy(tokenizer), prompts, **options)
    assert TransformersModel(target).branches
    return made


@cache
def noisy_world() -> World:
    made = with_noise(PROMPTS, num_draft_tokens=4)
    made.both(CASES["nothing"])
    return made


def case(name: str) -> Any:
    return CASES[name] if name in CASES else generate_cases.SINGLE[name]


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_returned_is_what_plain_generate_returns(name: str, beside: Beside) -> None:
    made = case(name)
    if name in ("scores", "scores and logits"):  # without the penalty, which reads the text, and longer
        made = generate_cases.case(lambda w: generate_cases._dict("scores", "logits"), 1)
    assert_same(noisy_world(), made, CLOSE)
    assert beside.trees > 0
    if name in ("nothing", "scores", "own cache", "criterion of scores"):
        assert beside.bent > 0


@pytest.mark.parametrize("name", LINES)
def test_lines_are_drafted_where_a_law_reads_the_text(name: str, beside: Beside) -> None:
    assert_same(noisy_world(), case(name), CLOSE)
    assert beside.trees == 0
    assert sum(stats.proposed for stats in noisy_world().custom.stats) > 0


def test_trees_can_be_left_out(beside: Beside) -> None:
    w = noisy_world()
    lines = anydraft.custom_generate(
        w.draft, w.target_tokenizer, w.draft_tokenizer, num_draft_tokens=4, tree="off"
    )
    out = w.target.generate(**w.inputs(), max_new_tokens=12, do_sample=False, custom_generate=lines)
    assert out[0, w.inputs()["input_ids"].shape[1] :].tolist() == w.said[:12]
    assert beside.trees == 0


def test_fewer_passes_are_needed() -> None:
    w = noisy_world()
    passes = {}
    for tree in ("auto", "off"):
        custom = anydraft.custom_generate(
            w.draft,
            w.target_tokenizer,
            w.draft_tokenizer,
            num_draft_tokens=4,
            tree=tree,  # type: ignore[arg-type]
        )
        w.target.generate(**w.inputs(), max_new_tokens=w.length, do_sample=False, custom_generate=custom)
        passes[tree] = custom.stats[0].target_passes
    assert passes["auto"] < passes["off"]


# Mistakes.


@pytest.mark.parametrize("name", ["scores", "criterion of scores"])
def test_scores_of_the_first_places_are_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generate_cases.case(lambda w: generate_cases._dict("scores", "logits"), 1)
    monkeypatch.setattr(RecordingLaw, "held", lambda *_: None)
    with pytest.raises(AssertionError):
        assert_same(noisy_world(), made if name == "scores" else CASES[name], {"rtol": 1e-3, "atol": 1e-4})


def test_a_penalty_by_the_wrong_text_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that reads the text is shown the candidates of a tree as if they were a line."""
    monkeypatch.setattr(RecordingLaw, "reads_prefix", False)
    with pytest.raises(AssertionError):
        assert_same(noisy_world(), case("several penalties"), CLOSE)


def test_a_cache_that_keeps_the_first_places_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def prune(model: TransformersModel, length: int, path: Any) -> None:
        model.crop(length + len(path))

    w = noisy_world()
    assert_same(w, case("own cache"), CLOSE)  # the model itself was tried before
    monkeypatch.setattr(TransformersModel, "prune", prune)
    with pytest.raises(AssertionError):
        assert_same(w, case("own cache"), CLOSE)


# Sampling.


@cache
def sampled_world() -> World:
    return with_noise(["merci. Été"], length=3)


def sampler(method: Any, num_draft_tokens: int = 1) -> CustomGenerate:
    w = sampled_world()
    return anydraft.custom_generate(
        w.draft, w.target_tokenizer, w.draft_tokenizer, method=method, num_draft_tokens=num_draft_tokens
    )


def off_the_law(monkeypatch: pytest.MonkeyPatch, method: Any) -> float:
    """Total variation between the first two tokens that are emitted and the target alone."""
    inputs = sampled_world().inputs()
    found = emitted(monkeypatch, sampler(method), inputs, max_new_tokens=2, **ENDLESS)
    assert sum(found.values()) == pytest.approx(1.0, abs=EXACT)
    return distance({rows[0]: p for rows, p in found.items()}, alone(inputs, 0, 2))


@pytest.mark.parametrize("method", ["slem", "tli", "pushforward", "slrs"])
def test_the_law_with_trees_by_enumeration(
    method: Any, monkeypatch: pytest.MonkeyPatch, beside: Beside
) -> None:
    assert off_the_law(monkeypatch, method) < EXACT
    assert beside.bent > 0


def test_a_tree_at_the_wrong_places_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The law behind a candidate is read where that of its neighbour is."""
    branch = TransformersModel.branch

    def shifted(model: TransformersModel, ids: Any, parents: Any) -> Any:
        logits = branch(model, ids, parents)
        return torch.cat((logits[:1], logits[1:].roll(1, 0)))

    sampled_world()  # the model itself is tried before
    monkeypatch.setattr(TransformersModel, "branch", shifted)
    assert off_the_law(monkeypatch, "slem") > 1e-3


def test_a_seed_repeats_a_sample_with_trees(beside: Beside) -> None:
    w, custom = sampled_world(), sampler("auto", num_draft_tokens=4)

    def sample(seed: int) -> list[int]:
        made = w.target.generate(**w.inputs(), **CUT, max_new_tokens=14, seed=seed, custom_generate=custom)
        return list(made[0].tolist())

    first = [sample(seed) for seed in range(6)]
    assert [sample(seed) for seed in range(6)] == first
    assert len(set(map(tuple, first))) > 1
    assert beside.bent > 0


def test_a_seeded_sample_alone_is_another_one_than_in_company() -> None:
    """Of the same law. A row alone reads trees; rows that share passes read lines, as ``tree="off"`` does."""
    w = sampled_world()

    def samples(rows: int, tree: Any) -> list[list[int]]:
        custom = anydraft.custom_generate(
            w.draft, w.target_tokenizer, w.draft_tokenizer, method="slem", num_draft_tokens=4, tree=tree
        )
        given = {name: value.repeat(rows, 1) for name, value in w.inputs().items()}
        options = {**given, **CUT, "max_new_tokens": 14, "custom_generate": custom}
        return [w.target.generate(**options, seed=seed)[0].tolist() for seed in range(6)]

    assert samples(1, "auto") != samples(2, "auto")
    assert samples(1, "off") == samples(2, "auto") == samples(2, "off")
