"""TransformersModel: the same logits as the model alone, whatever was advanced and cropped before."""

from __future__ import annotations

import copy
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaModel,
    T5Config,
    T5ForConditionalGeneration,
)

import tiny
from anydraft.errors import ArgumentError, ModelError
from anydraft.models.kv_cache import GrowingLayer
from anydraft.models.transformers import TransformersModel

MODELS = {"llama": tiny.llama, "gemma3": tiny.gemma3, "llama4": tiny.llama4}
TOLERANCE = 5e-5
"""On logits whose standard deviation is about 2.5; a wrong mask or position moves them by 0.1 and more."""


def plain_logits(model, ids):
    """The model alone, without any cache: ``[n, V]``."""
    with torch.no_grad():
        return model(input_ids=ids[None], use_cache=False).logits[0]


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, atol=TOLERANCE, rtol=0)


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_chunks_equal_one_forward_pass(model):
    ids = tiny.ids(60)
    expected = plain_logits(model, ids)
    ours = TransformersModel(model)
    for start, end in [(0, 20), (20, 21), (21, 26), (26, 60)]:
        assert_close(ours.advance(ids[start:end], keep=end - start), expected[start:end])
    assert ours.length == 60


def test_keep_returns_the_last_rows_only(model):
    ids = tiny.ids(10)
    assert_close(TransformersModel(model).advance(ids), plain_logits(model, ids)[-1:])
    assert_close(TransformersModel(model).advance(ids, keep=3), plain_logits(model, ids)[-3:])


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 40, 59])
def test_crop_then_advance_beyond_the_sliding_window(model, length):
    ids, other = tiny.ids(70), tiny.ids(70, seed=1)
    ours = TransformersModel(model)
    ours.advance(torch.cat((ids[:length], other[length:60])))
    ours.crop(length)
    assert ours.length == length
    expected = plain_logits(model, ids)
    assert_close(ours.advance(ids[length:], keep=70 - length), expected[length:])


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)), st.lists(st.tuples(st.integers(0, 80), st.integers(1, 30)), max_size=8)
)
def test_any_order_of_crops_and_advances(name, steps):
    model = MODELS[name]()
    ours = TransformersModel(model)
    ids = torch.empty(0, dtype=torch.int64)
    for seed, (length, n) in enumerate(steps):
        ours.crop(length)
        ids = torch.cat((ids[:length], tiny.ids(n, seed=seed)))
        assert ours.length == len(ids) - n
        assert_close(ours.advance(ids[ours.length :], keep=n), plain_logits(model, ids)[-n:])


def test_the_window_matters_in_these_tests():
    """Were the sliding mask ignored, the tests above would have to fail."""
    ids = tiny.ids(60)
    windowed, full = tiny.gemma3(), tiny.gemma3()
    full.config.sliding_window = 1000
    difference = plain_logits(windowed, ids) - plain_logits(full, ids)
    assert difference[: tiny.SLIDING_WINDOW].abs().max() < TOLERANCE
    assert difference[tiny.SLIDING_WINDOW :].abs().max() > 0.1


def test_the_store_grows_and_keeps_what_it_holds():
    layer = GrowingLayer()
    whole = torch.randn(1, 2, 3000, 4)
    for start in range(0, 3000, 100):
        keys, values = layer.update(whole[:, :, start : start + 100], -whole[:, :, start : start + 100])
        assert torch.equal(keys, whole[:, :, : start + 100])
        assert torch.equal(values, -keys)
    layer.crop(-2990)
    keys, _ = layer.update(whole[:, :, :5], whole[:, :, :5])
    assert torch.equal(keys, torch.cat((whole[:, :, :10], whole[:, :, :5]), 2))


def test_growing_does_not_copy_the_context_at_every_token():
    layer = GrowingLayer()
    layer.update(torch.zeros(1, 1, 1000, 4), torch.zeros(1, 1, 1000, 4))
    places = set()
    for _ in range(200):
        keys, _ = layer.update(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4))
        places.add(keys.data_ptr())
    assert len(places) == 1


def test_a_windowed_layer_hands_out_the_window_and_keeps_the_rest():
    layer = GrowingLayer(window=8)
    whole = torch.randn(1, 2, 40, 4)
    for start, n in [(0, 5), (5, 1), (6, 10), (16, 1), (17, 3)]:
        sizes = layer.get_mask_sizes(n)
        assert sizes == layer.get_mask_sizes(torch.arange(start, start + n))
        keys, _ = layer.update(whole[:, :, start : start + n], whole[:, :, start : start + n])
        first = max(0, start - 7)
        assert sizes == (start + n - first, first)
        assert torch.equal(keys, whole[:, :, first : start + n])
    layer.crop(-18)
    assert layer.get_seq_length() == 2
    keys, _ = layer.update(whole[:, :, 2:3], whole[:, :, 2:3])
    assert torch.equal(keys, whole[:, :, :3])


def test_crop_past_the_end_or_to_zero(model):
    ids = tiny.ids(8)
    ours = TransformersModel(model)
    ours.crop(5)
    assert ours.length == 0
    ours.advance(ids)
    ours.crop(100)
    assert ours.length == 8
    ours.crop(0)
    assert ours.length == 0
    assert_close(ours.advance(ids, keep=8), plain_logits(model, ids))
    with pytest.raises(ArgumentError, match="-1"):
        ours.crop(-1)


def test_nothing_of_the_users_is_changed(model):
    state = {k: v.clone() for k, v in model.state_dict().items()}
    buffers = {k: v.clone() for k, v in model.named_buffers()}
    config, generation = (
        copy.deepcopy(model.config.to_dict()),
        copy.deepcopy(model.generation_config.to_dict()),
    )
    prompt = tiny.ids(30)[None]
    before = model.generate(prompt, max_new_tokens=20, do_sample=False)

    ours = TransformersModel(model)
    ours.advance(tiny.ids(40))
    ours.crop(10)
    ours.advance(tiny.ids(5), keep=5)
    with pytest.raises(ArgumentError):
        ours.advance(torch.tensor([10**6]))

    assert model.config.to_dict() == config
    assert model.generation_config.to_dict() == generation
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert all(torch.equal(v, buffers[k]) for k, v in model.named_buffers())
    assert not model.training
    assert torch.equal(model.generate(prompt, max_new_tokens=20, do_sample=False), before)


def test_the_model_can_still_be_trained_afterwards(model):
    TransformersModel(model).advance(tiny.ids(20))
    model(input_ids=tiny.ids(20)[None], labels=tiny.ids(20)[None]).loss.backward()
    assert next(model.parameters()).grad is not None


def test_two_sequences_share_one_model(model):
    one, two = TransformersModel(model), TransformersModel(model)
    ids, other = tiny.ids(30), tiny.ids(30, seed=1)
    one.advance(ids[:20])
    two.advance(other[:25])
    assert_close(one.advance(ids[20:], keep=10), plain_logits(model, ids)[20:])
    assert_close(two.advance(other[25:], keep=5), plain_logits(model, other)[25:])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_come_in_the_models_dtype(model, dtype):
    model = model.to(dtype)
    ids = tiny.ids(30)
    ours = TransformersModel(model)
    ours.advance(ids[:20])
    logits = ours.advance(ids[20:], keep=10)
    assert logits.dtype == dtype
    torch.testing.assert_close(logits, plain_logits(model, ids)[20:], atol=0.5, rtol=0)


def test_facts_of_the_model(model):
    ours = TransformersModel(model)
    assert (ours.vocab_size, ours.window, ours.length) == (97, 512, 0)
    assert ours.device == torch.device("cpu")


def test_padded_logits_are_wider_than_the_config_says():
    model = tiny.llama()
    model.resize_token_embeddings(128)
    assert TransformersModel(model).advance(tiny.ids(3)).shape == (1, 128)


def test_old_style_positions():
    config = GPT2Config(vocab_size=97, n_embd=64, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3)
    model = GPT2LMHeadModel(config).eval()
    ids = tiny.ids(40)
    ours = TransformersModel(model)
    ours.advance(ids[:30])
    ours.crop(20)
    assert_close(ours.advance(ids[20:], keep=20), plain_logits(model, ids)[20:])
    assert ours.window == 128


def test_a_compiled_model_is_recognised(model):
    ours = TransformersModel(torch.compile(model, backend="eager"))
    ids = tiny.ids(12)
    ours.advance(ids[:8])
    assert_close(ours.advance(ids[8:], keep=4), plain_logits(model, ids)[8:])


@pytest.mark.parametrize(
    ("ids", "keep"),
    [
        (torch.tensor([[1, 2]]), 1),
        (torch.tensor([], dtype=torch.int64), 1),
        (torch.tensor([1, 2]), 3),
        (torch.tensor([1]), 0),
        (torch.tensor([3, 97]), 1),
        (torch.tensor([-1, 3]), 1),
    ],
)
def test_bad_ids_are_refused_and_lose_nothing(model, ids, keep):
    ours = TransformersModel(model)
    context = tiny.ids(10)
    ours.advance(context[:6])
    with pytest.raises(ArgumentError, match="expected"):
        ours.advance(ids, keep)
    assert ours.length == 6
    assert_close(ours.advance(context[6:], keep=4), plain_logits(model, context)[6:])


def test_training_mode_is_refused_not_switched(model):
    ours = TransformersModel(model)
    model.train()
    with pytest.raises(ModelError, match=r"model\.eval\(\)"):
        ours.advance(tiny.ids(3))
    with pytest.raises(ModelError, match=r"model\.eval\(\)"):
        TransformersModel(model)
    assert model.training


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_inside_the_model_leaves_a_usable_cache(model, error):
    ids = tiny.ids(20)
    ours = TransformersModel(model)
    ours.advance(ids[:10])
    layer = ours.cache.layers[-1]
    layer.update = Mock(side_effect=error("in the last layer"))
    with pytest.raises(error):
        ours.advance(ids[10:15])
    rest = ids[ours.length :]
    assert_close(ours.advance(rest, keep=len(rest)), plain_logits(model, ids)[-len(rest) :])


def test_logits_that_are_no_real_numbers_are_refused(model, monkeypatch):
    ours = TransformersModel(model)
    said = ours.runner
    monkeypatch.setattr(ours, "runner", lambda **given: Mock(logits=said(**given).logits.long()))
    with pytest.raises(ModelError, match="expected real numbers"):
        ours.advance(tiny.ids(4))


def refused():
    t5 = T5Config(vocab_size=97, d_model=64, d_kv=16, d_ff=64, num_layers=1, num_heads=4)
    yield "encoder-decoder", T5ForConditionalGeneration(t5).eval()
    yield "no language-model head", LlamaModel(tiny.llama().config).eval()
    yield "expected a transformers", torch.nn.Linear(2, 2)


@pytest.mark.parametrize("case", range(3))
def test_models_that_cannot_work_are_refused(case):
    message, model = list(refused())[case]
    with pytest.raises(ModelError, match=message):
        TransformersModel(model)
