"""Targets and drafts that keep states say what they say without a draft, whatever is taken back."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
import torch

import anydraft
import fidelity
import generate_cases
import shrunk
import small
import stateful
import trained
from anydraft.decoding.caches import PairCaches
from anydraft.models import rollback
from anydraft.models.rollback import Replay
from anydraft.models.versions import cache_argument, cache_returned
from chat_templates import TEMPLATES
from generating import World, assert_same
from loop_world import LoopWorld
from sampled import one_of

pytestmark = pytest.mark.filterwarnings("ignore")
CASES = {name: case for name, case in generate_cases.cases().items() if "bare cache" not in name}
"""A bare ``DynamicCache()`` is none for a model with states: plain decoding fails with it too."""
SHORT = {
    *(
        "nothing",
        "nothing, rows",
        "own cache",
        "own cache, rows",
        "filled cache",
        "half-filled cache",
        "dict",
    ),
    *("everything", "everything, rows", "negative prompt", "stop strings", "one padded row, dict"),
    "scores of a processor that counts, rows",
}
PROMPTS = ["The quick brown", "12345 67", "def fib(n):\n    if n"]
CLOSE = {"rtol": 1e-2, "atol": 1e-3}
EXACT, CAUGHT = 1e-5, 4e-3
"""Total variation: what float32 inside a state leaves, and what a mistake makes."""


def fitting(name: str, tokenizer: Any, seed: int = 0) -> Any:
    """A tiny model with states for a tokenizer."""
    if name not in shrunk.names():
        pytest.skip(f"this transformers does not know {name}")
    model = shrunk.shrunk(name, len(tokenizer) + 7, seed=seed)
    for config in (model.config, model.generation_config):
        config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    return model


@cache
def world(name: str) -> World:
    _, draft, tokenizer, draft_tokenizer = trained.pair()
    return World(fitting(name, tokenizer), draft, tokenizer, draft_tokenizer, PROMPTS, num_draft_tokens=3)


@pytest.mark.parametrize("name", ["qwen3_5_text", "lfm2, conv"])
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in SHORT else pytest.mark.sweep) for case in CASES]
)
def test_generate_returns_what_it_returns_without(name: str, case: str) -> None:
    assert_same(world(name), CASES[case], CLOSE)


def test_the_cases_have_their_names() -> None:
    assert set(CASES) >= SHORT


@pytest.mark.parametrize("name", one_of(4, stateful.KINDS))
def test_two_hundred_tokens_with_a_draft_that_is_half_right(name: str) -> None:
    model, tokenizer = stateful.made(name), small.characters()
    prompt = fidelity.prompts()[0]
    expected = fidelity.plain(model, prompt[None], tokens=200)
    ours = anydraft.custom_generate(
        shrunk.perturbed(model, 0.03), tokenizer, tokenizer, method="tli", num_draft_tokens=4
    )
    assert fidelity.plain(model, prompt[None], tokens=200, custom_generate=ours).tolist() == expected.tolist()
    (stats,) = ours.stats
    assert 0.02 < stats.accepted / stats.drafted < 0.98


def states(seed: int) -> Any:
    model = shrunk.shrunk("qwen3_5_text", 4, seed=seed)
    model.generation_config.eos_token_id = 3
    return model


@pytest.mark.parametrize("method", ["tli", "slrs", "slem", "pushforward"])
def test_the_law_with_states_on_both_sides(method: str) -> None:
    both = {"target_model": states(0), "draft_model": states(1)}
    assert LoopWorld(method=method, num_draft_tokens=1, **both).distance(2) <= EXACT


def test_the_law_of_a_batch() -> None:
    both = {"target_model": states(0), "draft_model": states(1)}
    assert LoopWorld(method="tli", num_draft_tokens=1, prompts=["ab", "bba"], **both).distance(1) <= EXACT


def test_a_target_that_keeps_a_rejected_state_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    world = LoopWorld(method="tli", num_draft_tokens=1, target_model=states(0), draft_model=states(1))
    assert world.distance(2) <= EXACT

    def back(self: Replay, cache: Any, length: int, wanted: int) -> tuple[Any, int]:
        rollback.crop_keys(cache, length - wanted)
        return cache, wanted

    monkeypatch.setattr(Replay, "back", back)
    assert world.distance(2) > CAUGHT


def pair(name: str, **options: Any) -> anydraft.Speculator:
    """Both sides keep states; their chats have different templates."""
    tokenizers = [copy.deepcopy(tokenizer) for tokenizer in trained.pair()[2:]]
    for tokenizer, template in zip(tokenizers, TEMPLATES, strict=True):
        tokenizer.chat_template = template
    models = [fitting(name, tokenizer, i) for i, tokenizer in enumerate(tokenizers)]
    return anydraft.Speculator(*models, *tokenizers, num_draft_tokens=3, **options)


@pytest.mark.parametrize("name", ["qwen3_5_text", "lfm2, conv"])
def test_a_chat_goes_on(name: str) -> None:
    made = pair(name)
    chat = made.chat(max_new_tokens=10)
    for text in ("The quick", "12345", "def fib(n):"):
        messages = [*chat.messages, {"role": "user", "content": text}]
        fresh = made.generate(messages=messages, max_new_tokens=10)
        assert chat.say(text).token_ids == fresh.token_ids
    chat.edit(2, "And?")
    fresh = made.generate(messages=chat.messages, max_new_tokens=10)
    assert chat.say().token_ids == fresh.token_ids


@pytest.mark.parametrize("name", ["qwen3_5_text", "lfm2, conv"])
@pytest.mark.parametrize("at", [1, 3, 4, 7])
def test_caches_are_right_after_an_error(name: str, at: int) -> None:
    made = pair(name)
    whole = made.generate("The quick brown fox", max_new_tokens=40)
    calls: list[list[int]] = []

    def raising(ids: Any, scores: Any) -> bool:
        calls.append(ids[0].tolist())
        if len(calls) == at:
            raise RuntimeError("not now")
        return False

    caches = PairCaches(*made.engine.sequences())
    with pytest.raises(RuntimeError, match="not now"):
        made.generate("The quick brown fox", max_new_tokens=40, stopping_criteria=[raising], caches=caches)
    said = calls[-1][len(whole.prompt_ids) :]
    out = made.generate(input_ids=calls[-1], max_new_tokens=16, caches=caches)
    assert out.token_ids == whole.token_ids[len(said) :][:16]


def test_an_abandoned_stream_leaves_the_model_as_it_was() -> None:
    made = pair("qwen3_5_text")
    before = made.generate("12345", max_new_tokens=20).token_ids
    stream = made.stream("The quick brown fox", max_new_tokens=40)
    next(stream)
    stream.close()
    assert made.generate("12345", max_new_tokens=20).token_ids == before


@pytest.mark.parametrize("name", ["minimax", "mamba"])
def test_a_filled_cache_that_cannot_be_read_is_refused(name: str) -> None:
    model, tokenizer = stateful.made(name), small.characters()
    ids = torch.arange(3, 12)[None]
    ours = anydraft.custom_generate(model, tokenizer, tokenizer, method="tli", num_draft_tokens=2)
    output = fidelity.plain(model, ids, tokens=4, return_dict_in_generate=True)
    given = {cache_argument(type(model)): cache_returned(output)}
    with pytest.raises(anydraft.AnydraftError, match="expected"):
        fidelity.plain(model, output.sequences, tokens=4, custom_generate=ours, **given)
