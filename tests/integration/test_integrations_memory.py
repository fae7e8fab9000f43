"""Five hundred generations in one process: memory stays flat, and both models stay as they were."""

from __future__ import annotations

import itertools
from typing import Any

import torch

import anydraft
import trained
from generating import World
from resident import resident, told

RUNS, WARM = 500, 50
GROWTH = 0.02
"""Most that the resident memory may grow after the first :data:`WARM` generations."""

SETTINGS: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.3},
    {"do_sample": True, "temperature": 0.8},
    {"do_sample": True, "top_k": 5, "num_return_sequences": 2},
    {"stop_strings": "fox"},
    {"return_dict_in_generate": True, "output_scores": True, "output_logits": True},
    {"return_dict_in_generate": True, "output_hidden_states": True},
    {"no_repeat_ngram_size": 2, "min_new_tokens": 3},
    {"eos_token_id": [5, 6, 7]},
    {"max_time": 60.0},
    {"use_cache": False},
]


@told
def test_five_hundred_generations_leave_no_trace() -> None:
    world = World(*trained.pair(), ["The quick brown", "12345 67", "def fib(n):"])
    methods = ("auto", "tli", "slrs")
    customs = [
        anydraft.custom_generate(world.draft, world.target_tokenizer, world.draft_tokenizer, method=method)
        for method in methods
    ]
    before = [
        {name: value.clone() for name, value in model.state_dict().items()}
        for model in (world.target, world.draft)
    ]
    attributes = [set(vars(model)) for model in (world.target, world.draft)]
    configs = [model.generation_config.to_dict() for model in (world.target, world.draft)]
    turns = itertools.cycle(SETTINGS)
    pages = 0
    for i in range(RUNS):
        if i == WARM:
            pages = resident()
        options = {"do_sample": False, "max_new_tokens": 4 + i % 9, **next(turns)}
        rows = 1 + (i // len(SETTINGS)) % 3
        world.target.generate(**world.inputs(rows), **options, custom_generate=customs[i % 3])
    assert resident() < pages * (1 + GROWTH)
    for model, state, names, config in zip(
        (world.target, world.draft), before, attributes, configs, strict=True
    ):
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert set(vars(model)) == names
        assert model.generation_config.to_dict() == config
        assert not model._forward_hooks
        assert not model._forward_pre_hooks
        assert not model.training
