"""Rotary scales that change with the length: every pass is what plain decoding computes token by token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    GenerationMixin,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
)

import anydraft
import small
import tiny
from anydraft.models.batch import sequences
from anydraft.models.fast.runner import FastPasses
from anydraft.models.growing import growing_of
from anydraft.models.kv_cache import new_cache
from anydraft.models.transformers import TransformersModel
from anydraft.models.versions import CACHE_NAMES, cache_of

ORIGINAL = 32
SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
FACTORS = {"short_factor": [1.0] * 8, "long_factor": [1.0 + 3 * i for i in range(8)]}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def phi3() -> PreTrainedModel:
    """It reads its text again where the scales change."""
    config = Phi3Config(
        **SHAPE,
        max_position_embeddings=512,
        original_max_position_embeddings=ORIGINAL,
        rope_scaling=FACTORS | {"type": "longrope"},
    )
    return made(Phi3ForCausalLM, config)


def longrope() -> PreTrainedModel:
    """It keeps what is cached."""
    config = LlamaConfig(
        **SHAPE,
        max_position_embeddings=512,
        original_max_position_embeddings=ORIGINAL,
        rope_scaling=FACTORS
        | {"rope_type": "longrope", "factor": 16.0, "original_max_position_embeddings": ORIGINAL},
    )
    return made(LlamaForCausalLM, config)


def dynamic() -> PreTrainedModel:
    """Its scales change with every token."""
    scaling = {"rope_type": "dynamic", "factor": 4.0}
    return made(
        LlamaForCausalLM, LlamaConfig(**SHAPE, max_position_embeddings=ORIGINAL, rope_scaling=scaling)
    )


class Forgetting(Phi3ForCausalLM):
    """It drops its cache where the scales change, and goes on with one token (Phi-4-multimodal in 5.23)."""

    def prepare_inputs_for_generation(self, input_ids: Any, **kwargs: Any) -> Any:
        cache = cache_of(kwargs)
        inputs = GenerationMixin.prepare_inputs_for_generation(self, input_ids, **kwargs)
        if cache and cache.get_seq_length() == ORIGINAL:
            inputs |= {name: None for name in CACHE_NAMES if name in inputs}
        return inputs


def made(kind: Any, config: Any) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: PreTrainedModel = kind(config).eval()
    model.generation_config.eos_token_id = None
    return model


def whole(model: PreTrainedModel) -> PreTrainedModel:
    """Skips where the model's own ``generate`` loses its text (Phi-3 in 5.19): it is served up to there."""
    if growing_of(model).forgets:  # type: ignore[union-attr]
        pytest.skip("in this version of transformers Phi-3 forgets its text where its scales change")
    return model


MODELS = [phi3, longrope, dynamic]
Make = Callable[[], PreTrainedModel]


def plain(model: Any, ids: torch.Tensor, prompt: int) -> torch.Tensor:
    """What ``generate`` computes over a text, token by token after the prompt: ``[n - prompt + 1, V]``."""
    if growing_of(model).rereads:  # type: ignore[union-attr]
        ends = range(prompt, len(ids) + 1)
        return torch.stack([model(input_ids=ids[None, :end]).logits[0, -1] for end in ends])
    cache, found = new_cache(model), []
    for start, end in [(0, prompt), *((i, i + 1) for i in range(prompt, len(ids)))]:
        positions = torch.arange(start, end)[None]
        output = model(input_ids=ids[None, start:end], past_key_values=cache, position_ids=positions)
        found.append(output.logits[0, -1])
    return torch.stack(found)


@pytest.mark.parametrize("make", MODELS)
def test_the_scales_matter_in_these_tests(make: Make) -> None:
    model, ids = make(), tiny.ids(60, 96)
    with torch.no_grad():
        apart = model(input_ids=ids[None]).logits[0, 9:] - plain(model, ids, 10)
    assert apart[:20].abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("prompt", [10, ORIGINAL - 1, ORIGINAL, ORIGINAL + 1, 40])
def test_blocks_and_rollbacks_across_the_window(make: Make, prompt: int) -> None:
    model, ids, other = make(), tiny.ids(70, 96), tiny.ids(8, 96, seed=1)
    expected = plain(model, ids, prompt)
    ours = TransformersModel(model, FastPasses())
    first = ours.advance(torch.cat((ids[:prompt], other[:3])), 4)[:1]  # candidates with the prompt
    torch.testing.assert_close(first, expected[:1], **CLOSE)
    ours.crop(prompt)
    start = prompt
    while start < len(ids):
        n = min(1 + start % 5, len(ids) - start)
        block = torch.cat((ids[start : start + n], other[: start % 4]))
        context = ids if ours.length == start else torch.cat((ids[:start], block))
        fed = block if ours.length == start else context[ours.length :]
        logits = ours.advance(fed, len(block))[:n]
        torch.testing.assert_close(logits, expected[start - prompt + 1 :][:n], **CLOSE)
        start += n
        ours.crop(start)


@torch.no_grad()
def test_a_rollback_before_the_window_keeps_what_was_read_before_it() -> None:
    ours, ids = TransformersModel(phi3()), tiny.ids(40, 96)
    ours.advance(ids[:30])
    ours.advance(ids[30:36], 6)
    assert ours.length == 36
    ours.crop(31)
    assert ours.length == 31
    torch.testing.assert_close(ours.advance(ids[31:32]), TransformersModel(phi3()).advance(ids[:32]), **CLOSE)
    ours.advance(ids[32:])
    ours.advance(ids[:1])
    ours.crop(20)  # too far back: it is to be read again
    assert ours.length == 0


@torch.no_grad()
def test_a_longer_text_before_leaves_no_trace() -> None:
    """transformers keeps the scales of the longest text that it has seen."""
    model, ids = dynamic(), tiny.ids(60, 96)
    expected = TransformersModel(dynamic(), FastPasses()).advance(ids[:40])
    TransformersModel(model, FastPasses()).advance(ids)
    torch.testing.assert_close(TransformersModel(model, FastPasses()).advance(ids[:40]), expected, **CLOSE)


def test_the_window_is_what_the_scales_reach() -> None:
    assert TransformersModel(dynamic(), FastPasses()).window == 4 * ORIGINAL
    assert growing_of(tiny.llama()) is None
    assert TransformersModel(whole(phi3())).window == 512


@pytest.mark.parametrize("make", MODELS)
def test_generate_says_the_same(make: Make) -> None:
    tokenizer = small.characters()
    whole(make())
    ours = anydraft.custom_generate(make(), tokenizer, tokenizer, method="tli", num_draft_tokens=4)
    for length in (10, 40):
        ids = torch.stack([tiny.ids(length, 96), tiny.ids(length, 96, seed=1)])
        given: Any = {"max_new_tokens": 40, "do_sample": False, "attention_mask": torch.ones_like(ids)}
        model = make()  # plain decoding itself keeps dynamic scales from one text to the next
        found = model.generate(ids, **given, custom_generate=ours)
        assert torch.equal(found, model.generate(ids, **given))
    assert all(isinstance(row, TransformersModel) for row in sequences(model, 2, FastPasses()))


def test_a_model_that_forgets_its_text_is_served_up_to_there() -> None:
    tokenizer, model = small.characters(), made(Forgetting, phi3().config)
    pair = anydraft.Speculator(model, phi3(), tokenizer, tokenizer, method="tli")
    ids = tiny.ids(10, 96)
    assert len(pair.generate(input_ids=ids.tolist(), max_new_tokens=40).token_ids) == ORIGINAL - 10
    ours = anydraft.custom_generate(phi3(), tokenizer, tokenizer, method="tli")
    given: Any = {"attention_mask": torch.ones_like(ids)[None], "do_sample": False}
    with pytest.raises(anydraft.ModelError, match="forgets its text beyond 32 tokens"):
        model.generate(ids[None], max_new_tokens=23, custom_generate=ours, **given)
    short = model.generate(ids[None], max_new_tokens=22, custom_generate=ours, **given)
    assert torch.equal(short, model.generate(ids[None], max_new_tokens=22, **given))


def test_padded_rows_that_change_each_others_scales_are_refused() -> None:
    model, tokenizer = whole(phi3()), small.characters()
    ours = anydraft.custom_generate(phi3(), tokenizer, tokenizer, method="tli")
    ids = torch.stack([tiny.ids(10, 96), tiny.ids(10, 96, seed=1)])
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    given: Any = {"attention_mask": mask, "do_sample": False}
    with pytest.raises(anydraft.ModelError, match="padded rows of up to 50 tokens"):
        model.generate(ids, max_new_tokens=40, custom_generate=ours, **given)
    short = model.generate(ids, max_new_tokens=20, custom_generate=ours, **given)
    assert torch.equal(short, model.generate(ids, max_new_tokens=20, **given))


def test_a_filled_cache_is_refused() -> None:
    model, tokenizer = phi3(), small.characters()
    ids = tiny.ids(10, 96)[None]
    cache = model(input_ids=ids[:, :8], use_cache=True).past_key_values
    ours = anydraft.custom_generate(phi3(), tokenizer, tokenizer, method="tli")
    with pytest.raises(anydraft.ModelError, match="filled past_key_values"):
        model.generate(
            ids,
            past_key_values=cache,
            max_new_tokens=4,
            do_sample=False,
            attention_mask=torch.ones_like(ids),
            custom_generate=ours,
        )
