"""``token_type_ids`` reach a model that reads them, as in plain ``generate``: by either way to decode."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

import anydraft
import small

PROMPTS = ["The quick brown", "12345 67", "def fib(n):\n    if n"]


@cache
def target() -> Any:
    """GPT-2, which embeds types as it embeds tokens."""
    torch.manual_seed(0)
    size = len(small.byte_level())
    made = GPT2LMHeadModel(
        GPT2Config(vocab_size=size, n_positions=128, n_embd=32, n_layer=2, n_head=2)
    ).eval()
    for weight in made.parameters():
        weight.data.mul_(4.0 if weight.dim() == 2 else 1.0)
    made.generation_config.eos_token_id = None
    made.generation_config.pad_token_id = 0
    return made


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", ["zeros", "mixed"])
@pytest.mark.parametrize("states", [False, True])
def test_types_are_read(rows: int, kind: str, states: bool) -> None:
    tokenizer = small.byte_level()
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    made = tokenizer(PROMPTS[:rows], return_tensors="pt", padding=True)
    ids = made["input_ids"]
    types = torch.zeros_like(ids)
    if kind == "mixed":
        types = torch.arange(ids.shape[1]).expand_as(ids) % 3
    options: dict[str, Any] = {
        "attention_mask": made["attention_mask"],
        "max_new_tokens": 20,
        "do_sample": False,
    }
    if states:
        options |= {"return_dict_in_generate": True, "output_hidden_states": True}
    custom = anydraft.custom_generate(
        small.model(small.byte_fallback(), seed=1), tokenizer, small.byte_fallback(), num_draft_tokens=4
    )
    without = target().generate(ids, **options)
    plain = target().generate(ids, token_type_ids=types, **options)
    ours = target().generate(ids, token_type_ids=types, **options, custom_generate=custom)
    if states:
        assert torch.equal(ours.sequences, plain.sequences)
        torch.testing.assert_close(
            ours.hidden_states[3][-1], plain.hidden_states[3][-1], rtol=1e-3, atol=1e-3
        )
    else:
        assert torch.equal(ours, plain)
        assert not torch.equal(plain, without)


def pair(**options: Any) -> anydraft.Speculator:
    draft = small.model(small.byte_fallback(), seed=1)
    return anydraft.Speculator(
        target(), draft, small.byte_level(), small.byte_fallback(), num_draft_tokens=4, **options
    )


@pytest.mark.parametrize("kind", ["zeros", "mixed"])
@pytest.mark.parametrize("padding", [0, 3])
def test_types_among_inputs_are_read(kind: str, padding: int) -> None:
    ids = torch.tensor([[0] * padding + small.byte_level()("The quick brown")["input_ids"]])
    length = ids.shape[1]
    types = torch.zeros_like(ids) if kind == "zeros" else torch.arange(length)[None] % 3
    mask = (torch.arange(length) >= padding).long()[None]
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    plain = target().generate(**inputs, max_new_tokens=20, do_sample=False)[0, length:].tolist()
    options: dict[str, Any] = {"max_new_tokens": 20, "eos_token_id": []}
    without = pair().generate(input_ids=ids[0, padding:], **options)
    assert pair().generate(inputs=inputs, **options).token_ids == plain
    assert without.token_ids != plain


def test_types_that_cannot_be_read_so_are_refused() -> None:
    ids = torch.tensor([[5, 6, 7]])
    speculator = pair()
    inputs = {"input_ids": ids, "token_type_ids": torch.zeros_like(ids)}
    with pytest.raises(anydraft.ArgumentError, match=r"got token_type_ids and caches .*Leave caches out"):
        speculator.generate(inputs=inputs, caches=speculator.engine.caches())
    with pytest.raises(
        anydraft.ArgumentError, match=r"got token_type_ids \[1, 2\]; expected a tensor \[1, 3\]"
    ):
        speculator.generate(inputs={**inputs, "token_type_ids": torch.zeros(1, 2, dtype=torch.int64)})
    with pytest.raises(anydraft.ArgumentError, match="got token_type_ids list"):
        speculator.generate(inputs={**inputs, "token_type_ids": [[0, 0, 0]]})


def test_types_that_a_target_does_not_read_are_nothing() -> None:
    """Tokenizers make them for any model."""
    speculator = small.speculator()
    ids = torch.tensor([[5, 6, 7]])
    expected = speculator.generate(input_ids=ids, max_new_tokens=8).token_ids
    inputs = {"input_ids": ids, "token_type_ids": torch.ones_like(ids)}
    assert speculator.generate(inputs=inputs, max_new_tokens=8).token_ids == expected
    caches = speculator.engine.caches()
    assert speculator.generate(inputs=inputs, caches=caches, max_new_tokens=8).token_ids == expected
