"""What ``custom_generate`` does not serve, it refuses, in a sentence that says what to do; and placements."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    CompileConfig,
    DynamicCache,
    StaticCache,
)

import anydraft
import small
import trained
from anydraft.integrations.transformers.generate_call import GenerateCall


def custom(**options: Any) -> Any:
    _, draft, tokenizer, draft_tokenizer = trained.pair()
    options.setdefault("num_draft_tokens", 5)
    return anydraft.custom_generate(draft, tokenizer, draft_tokenizer, **options)


def ids(text: str = "The quick") -> torch.Tensor:
    return torch.tensor([trained.pair()[2](text)["input_ids"]])


def static() -> Any:
    return StaticCache(config=trained.pair()[0].config, max_cache_len=64, max_batch_size=1)


def filled(rows: int) -> DynamicCache:
    cache = DynamicCache()
    with torch.no_grad():
        trained.pair()[0](ids().repeat(rows, 1)[:, :-1], past_key_values=cache)
    return cache


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "beams": ({"num_beams": 3}, "beam_search", "num_beams=1"),
    "sampled beams": ({"num_beams": 2, "do_sample": True}, "beam_sample", "leave custom_generate out"),
    "prompt lookup": ({"prompt_lookup_num_tokens": 3}, "assisted_generation", "prompt_lookup_num_tokens"),
    "right padding": (
        {"attention_mask": torch.tensor([[1] * (ids().shape[1] - 2) + [0, 0]])},
        "padding after or between",
        "padding_side = 'left'",
    ),
    "positions": (
        {"position_ids": torch.arange(99)[None, : ids().shape[1]] + 1},
        "of your own",
        "Leave them out",
    ),
    "a static cache": ({"past_key_values": static()}, "StaticCache", "plain DynamicCache"),
    "an offloaded cache": ({"cache_implementation": "offloaded"}, "offloaded", "Leave it out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_to_do(name: str) -> None:
    options, got, advice = REFUSED[name]
    try:
        with pytest.raises(anydraft.ArgumentError) as refused:
            trained.pair()[0].generate(ids(), max_new_tokens=5, custom_generate=custom(), **options)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"transformers cannot make it here: {str(error)[:60]}")
    assert got in str(refused.value)
    assert advice in str(refused.value)


def test_guidance_of_a_target_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anydraft.integrations.transformers.method.team_of", lambda _: object())
    with pytest.raises(anydraft.ArgumentError, match="tensor parallelism"):
        trained.pair()[0].generate(ids(), max_new_tokens=5, guidance_scale=2.0, custom_generate=custom())


def test_an_assistant_beside_the_draft() -> None:
    target, draft, *_ = trained.pair()
    with pytest.raises((anydraft.ArgumentError, ValueError)) as refused:
        target.generate(ids(), max_new_tokens=5, custom_generate=custom(), assistant_model=draft)
    assert "assistant" in str(refused.value)


def test_prompts_that_are_not_ids() -> None:
    target = trained.pair()[0]
    with pytest.raises(anydraft.ArgumentError, match="inputs_embeds"):
        target.generate(
            inputs_embeds=target.get_input_embeddings()(ids()), max_new_tokens=5, custom_generate=custom()
        )


def test_a_filled_cache_for_several_rows() -> None:
    with pytest.raises(anydraft.ArgumentError, match="Call generate once a row"):
        trained.pair()[0].generate(
            ids().repeat(2, 1), past_key_values=filled(2), max_new_tokens=5, custom_generate=custom()
        )


def test_a_quantized_cache() -> None:
    options = {"cache_implementation": "quantized", "cache_config": {"backend": "quanto"}}
    try:
        with pytest.raises(anydraft.ArgumentError, match="plain DynamicCache"):
            trained.pair()[0].generate(ids(), max_new_tokens=5, custom_generate=custom(), **options)
    except ImportError as error:
        pytest.skip(f"no library for quantized caches is installed: {str(error)[:60]}")


def test_an_encoder_decoder() -> None:
    _, draft, _, draft_tokenizer = trained.pair()
    tokenizer = small.byte_level()
    config = BartConfig(
        vocab_size=len(tokenizer) + 8,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        forced_eos_token_id=None,
    )
    target = BartForConditionalGeneration(config).eval()
    made = anydraft.custom_generate(draft, tokenizer, draft_tokenizer)
    with pytest.raises(anydraft.AnydraftError, match=r"encoder|token ids alone"):
        target.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=5, custom_generate=made)
    with pytest.raises(anydraft.ModelError, match="decoder-only"):
        anydraft.Speculator(target, draft, tokenizer, draft_tokenizer)


def test_training_mode_is_refused_and_not_changed() -> None:
    target = copy.deepcopy(trained.pair()[0]).train()
    with pytest.raises(anydraft.ModelError, match=r"model\.eval\(\)"):
        target.generate(ids(), max_new_tokens=5, custom_generate=custom())
    assert target.training


@pytest.mark.parametrize("implementation", ["static", "dynamic", "dynamic_full"])
def test_caches_that_are_only_asked_for_are_replaced_by_ours(implementation: str) -> None:
    target = trained.pair()[0]
    options = {"max_new_tokens": 12, "do_sample": False, "cache_implementation": implementation}
    try:
        plain = target.generate(ids(), **options)
    except ValueError as error:
        pytest.skip(f"this version of transformers knows no such cache: {error}")
    assert target.generate(ids(), **options, custom_generate=custom()).tolist() == plain.tolist()


def test_a_compile_config_is_no_obstacle() -> None:
    target = trained.pair()[0]
    options = {"max_new_tokens": 8, "do_sample": False}
    out = target.generate(ids(), **options, compile_config=CompileConfig(), custom_generate=custom())
    assert out.tolist() == target.generate(ids(), **options).tolist()


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
@pytest.mark.parametrize("side", ["target", "draft"])
def test_a_model_spread_by_accelerate(side: str) -> None:
    """Layers dispatched by a device map, with accelerate's hooks; here all of them to the CPU."""
    from accelerate import dispatch_model

    parts = list(trained.pair())
    place = 0 if side == "target" else 1
    spread = copy.deepcopy(parts[place])
    device_map = {
        "model.embed_tokens": "cpu",
        "model.rotary_emb": "cpu",
        "model.norm": "cpu",
        "lm_head": "cpu",
    }
    device_map |= {f"model.layers.{i}": "cpu" for i in range(2)}
    parts[place] = dispatch_model(spread, device_map=device_map, main_device="cpu", force_hooks=True)
    target, draft, tokenizer, draft_tokenizer = parts
    made = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    options = {"max_new_tokens": 16, "do_sample": False}
    plain = target.generate(ids(), **options)
    assert target.generate(ids(), **options, custom_generate=made).tolist() == plain.tolist()


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed")
def test_a_model_whose_layers_are_off_loaded(tmp_path: Any) -> None:
    """Weights on disk, brought in by hooks for each pass."""
    from accelerate import disk_offload

    target, draft, tokenizer, draft_tokenizer = trained.pair()
    spread = copy.deepcopy(target)
    disk_offload(spread.model.layers[0], str(tmp_path), execution_device=torch.device("cpu"))
    made = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    options = {"max_new_tokens": 12, "do_sample": False}
    plain = target.generate(ids(), **options)
    assert spread.generate(ids(), **options, custom_generate=made).tolist() == plain.tolist()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("devices", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
@pytest.mark.parametrize("rows", [1, 3])
def test_target_and_draft_on_different_devices(devices: tuple[str, str], rows: int) -> None:
    target, draft, tokenizer, draft_tokenizer = (copy.deepcopy(part) for part in trained.pair())
    target, draft = target.to(devices[0]), draft.to(devices[1])
    made = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    for place in {"cpu", devices[0]}:  # ids on the CPU are brought over by generate
        options = {"max_new_tokens": 12, "do_sample": False}
        given = ids().repeat(rows, 1).to(place)
        plain = target.generate(given, **options)
        assert target.generate(given, **options, custom_generate=made).tolist() == plain.tolist()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
def test_a_target_sharded_over_devices() -> None:
    from accelerate import dispatch_model

    target, draft, tokenizer, draft_tokenizer = (copy.deepcopy(part) for part in trained.pair())
    device_map: dict[str, Any] = {"model.embed_tokens": 0, "model.rotary_emb": 0, "model.layers.0": 0}
    device_map |= {"model.layers.1": 1, "model.norm": 1, "lm_head": 1}
    target = dispatch_model(target, device_map=device_map)
    made = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    options = {"max_new_tokens": 12, "do_sample": False}
    plain = target.generate(ids().to(0), **options)
    assert target.generate(ids().to(0), **options, custom_generate=made).tolist() == plain.tolist()


@pytest.mark.parametrize(
    "value", [None, False, {}, [], (), {"pixels": None}, torch.empty(0), torch.empty(2, 0)], ids=repr
)
def test_an_argument_that_says_nothing_passes(value: Any) -> None:
    """As those that a coming version of ``generate`` may add by itself."""
    read(something_new=value)


def test_an_argument_with_its_usual_value_passes() -> None:
    read(logits_to_keep=0, output_router_logits=None)


@pytest.mark.parametrize("value", [True, 0.5, {"pixels": [1]}, [0], torch.zeros(1), "x"], ids=repr)
def test_an_argument_that_says_something_is_named(value: Any) -> None:
    with pytest.raises(anydraft.ArgumentError, match=r"got something_new; .*tested with 4\.57, .*5\.24"):
        read(something_new=value)


@pytest.mark.parametrize("directions", [0, 3, 4])
def test_positions_for_each_direction_of_a_picture(directions: int) -> None:
    """Qwen-VL has three or four, which are alike for text."""
    usual = torch.arange(ids().shape[1])[None]
    read(position_ids=usual.expand(directions, -1, -1) if directions else usual)
    with pytest.raises(anydraft.ArgumentError, match="position_ids of your own"):
        read(position_ids=(usual + 1).expand(directions, -1, -1) if directions else usual + 1)


def read(**arguments: Any) -> None:
    target = trained.pair()[0]
    GenerateCall.of(target, ids(), None, None, target.generation_config, arguments, fills_cache=False)
