"""Prompts with pictures that cannot be served are refused, with what to do instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache

import anydraft
import pictures
import shrunk
import trained
from anydraft.models.prefill import reads_more
from pictures import inputs

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        not reads_more(pictures.model("llava")),
        reason="this transformers does not tell positions behind pictures",
    ),
]


def pair(target: Any) -> anydraft.Speculator:
    return anydraft.Speculator(
        target, shrunk.perturbed(target, 0.1), pictures.tokenizer(), pictures.tokenizer()
    )


def refused(match: str, target: Any, **options: Any) -> None:
    ours = anydraft.custom_generate(target, pictures.tokenizer(), pictures.tokenizer())
    with pytest.raises(anydraft.AnydraftError, match=match):
        target.generate(**inputs("llava", target), max_new_tokens=5, custom_generate=ours, **options)


def test_what_would_read_the_text_again() -> None:
    target = pictures.model("llava")
    refused("read again", target, return_dict_in_generate=True, output_hidden_states=True)
    refused("read again", target, return_dict_in_generate=True, output_attentions=True)


def test_a_filled_cache() -> None:
    target = pictures.model("llava")
    given = inputs("llava", target)
    cache = DynamicCache(config=target.config.get_text_config())
    with torch.no_grad():
        target(**{**given, "input_ids": given["input_ids"]}, past_key_values=cache)
    given["input_ids"] = torch.cat((given["input_ids"], torch.tensor([[5, 6]])), 1)
    given["attention_mask"] = torch.ones_like(given["input_ids"])
    ours = anydraft.custom_generate(target, pictures.tokenizer(), pictures.tokenizer())
    with pytest.raises(anydraft.ArgumentError, match="filled past_key_values"):
        target.generate(**given, past_key_values=cache, max_new_tokens=5, custom_generate=ours)


def test_a_target_that_reads_no_pictures() -> None:
    target, draft, *tokenizers = trained.pair()
    given = {"input_ids": torch.tensor([[5, 6]]), "pixel_values": torch.zeros(1, 3, 4, 4)}
    with pytest.raises(anydraft.ArgumentError, match="pixel_values for"):
        anydraft.Speculator(target, draft, *tokenizers).generate(inputs=given, max_new_tokens=5)


def test_a_cache_apart_from_the_text() -> None:
    """Mllama looks at its pictures across, with keys of their own."""
    name = "mllama, pictures"
    target = shrunk.shrunk(name, pictures.PLACEHOLDER + 1)
    side = target.config.vision_config.image_size
    given = {
        "input_ids": torch.arange(8)[None],
        "attention_mask": torch.ones(1, 8, dtype=torch.int64),
        "pixel_values": torch.randn(1, 1, 4, 3, side, side),
        "aspect_ratio_ids": torch.tensor([[1]]),
        "aspect_ratio_mask": torch.tensor([[[1, 0, 0, 0]]]),
        "cross_attention_mask": torch.ones(1, 8, 1, 4, dtype=torch.int64),
    }
    with pytest.raises(anydraft.ModelError, match="cache apart from the text"):
        pair(target).generate(inputs=given, max_new_tokens=5)


def test_inputs_of_several_rows_and_beside_another_prompt() -> None:
    target = pictures.model("llava")
    given = inputs("llava", target)
    two = {name: value.repeat(2, *[1] * (value.dim() - 1)) for name, value in given.items()}
    with pytest.raises(anydraft.ArgumentError, match="of one prompt"):
        pair(target).generate(inputs=two)
    with pytest.raises(anydraft.ArgumentError, match="got prompt and inputs"):
        pair(target).generate("ab", inputs=given)
    speculator = pair(target)
    with pytest.raises(anydraft.ArgumentError, match="caches of an earlier decode"):
        speculator.generate(inputs=given, caches=speculator.engine.caches())


def test_inputs_of_text_alone() -> None:
    target, draft, *tokenizers = trained.pair()
    speculator = anydraft.Speculator(target, draft, *tokenizers)
    made = tokenizers[0]("12345", return_tensors="pt")
    expected = speculator.generate(input_ids=made["input_ids"], max_new_tokens=8)
    assert speculator.generate(inputs=made, max_new_tokens=8).token_ids == expected.token_ids


def test_types_that_say_which_tokens_see_each_other() -> None:
    """Without pictures PaliGemma reads a prompt in another way with them."""
    target, tokenizer = pictures.model("paligemma"), pictures.tokenizer()
    ids = torch.tensor([[5, 6, 7]])
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.ones_like(ids)}
    with pytest.raises(anydraft.ArgumentError, match="reads a prompt in another way"):
        pair(target).generate(inputs=given, max_new_tokens=5)
    ours = anydraft.custom_generate(target, tokenizer, tokenizer)
    with pytest.raises(anydraft.ArgumentError, match="reads a prompt in another way"):
        target.generate(**given, max_new_tokens=5, custom_generate=ours)


def test_a_picture_in_a_message() -> None:
    target, draft, *tokenizers = trained.pair()
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    with pytest.raises(anydraft.ArgumentError, match=r"got a message with image; .*give inputs="):
        anydraft.Speculator(target, draft, *tokenizers).generate(messages=messages)
