"""``generate`` with a draft returns what it returns without: ids, stops, streams, structures."""

from __future__ import annotations

import copy
from functools import cache

import pytest
from transformers import pipeline

import generate_cases
import real_pair
import tiny
import trained
from generating import Call, World, assert_same
from sampled import one_of

CASES = generate_cases.cases()
PROMPTS = ["The quick brown", "12345 67", "def fib(n):\n    if n"]
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


@cache
def tiny_world(swap: bool) -> World:
    return World(*trained.pair(swap=swap), PROMPTS, num_draft_tokens=12 if swap else 5)


@pytest.mark.parametrize(
    ("name", "swap"), [*((name, False) for name in CASES), *one_of(4, ((name, True) for name in CASES))]
)
def test_a_tiny_pair_generates_what_its_target_does(name: str, swap: bool) -> None:
    assert_same(tiny_world(swap), CASES[name], CLOSE)


@cache
def eager_world() -> World:
    """A target that tells its attentions."""
    target, *others = trained.pair()
    target = copy.deepcopy(target)
    target.set_attn_implementation("eager")
    return World(target, *others, PROMPTS)


@pytest.mark.parametrize("name", generate_cases.ATTENTIONS)
def test_attentions_are_returned(name: str) -> None:
    assert_same(eager_world(), generate_cases.ATTENTIONS[name], CLOSE)


@cache
def sliding_world() -> World:
    """A target with a sliding window that is shorter than the prompts."""
    _, draft, tokenizer, draft_tokenizer = trained.pair()
    target = tiny.gemma3(len(tokenizer) + 7)
    target.generation_config.eos_token_id = target.generation_config.pad_token_id = tokenizer.eos_token_id
    prompts = ["The quick brown fox jumps over the lazy dog", *PROMPTS[1:]]
    return World(target, draft, tokenizer, draft_tokenizer, prompts)


@pytest.mark.parametrize("name", generate_cases.SLIDING)
def test_a_sliding_window_is_filled_as_by_plain_decoding(name: str) -> None:
    assert_same(sliding_world(), CASES[name], CLOSE)


@cache
def auto_world() -> World:
    return World(*trained.pair(), PROMPTS, num_draft_tokens="auto")


@pytest.mark.parametrize("name", ["several penalties", "stop strings", "everything, rows", "streamer, rows"])
def test_draft_lengths_that_follow_the_clock(name: str) -> None:
    for _ in range(3):
        assert_same(auto_world(), CASES[name], CLOSE)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_chat_through_the_template(rows: int) -> None:
    world = tiny_world(False)
    tokenizer = copy.deepcopy(world.target_tokenizer)
    tokenizer.chat_template = "<bos>{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}a: "
    chats = [[{"role": "user", "content": text}] for text in PROMPTS[:rows]]
    made = tokenizer.apply_chat_template(chats, return_tensors="pt", return_dict=True, padding=True)
    inputs = {name: made[name] for name in ("input_ids", "attention_mask")}
    assert_same(world, lambda _: Call(inputs, {"max_new_tokens": 16}), CLOSE)


def test_a_pipeline_takes_it_too() -> None:
    world = tiny_world(False)
    writer = pipeline("text-generation", model=world.target, tokenizer=world.target_tokenizer)
    options = {"max_new_tokens": 12, "do_sample": False}
    assert writer("Ça va", custom_generate=world.custom, **options) == writer("Ça va", **options)


@cache
def real_world() -> World:
    target, draft = real_pair.model("smollm2"), real_pair.model("gemma3")
    tokenizer = copy.deepcopy(real_pair.tokenizer("smollm2"))
    prompts = ["The capital of France is", "def fib(n):\n    ", "1 2 3 4 5 6 7"]
    return World(
        target, draft, tokenizer, real_pair.tokenizer("gemma3"), prompts, length=12, num_draft_tokens=3
    )


@pytest.mark.real
@pytest.mark.parametrize("name", one_of(8, generate_cases.real_cases()))
def test_the_real_pair_generates_what_its_target_does(name: str) -> None:
    assert_same(real_world(), CASES[name], CLOSE)
