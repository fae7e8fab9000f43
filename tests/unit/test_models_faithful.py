"""A model that does not read blocks as it reads tokens is refused, at its first use and with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from transformers import (
    BartConfig,
    BartForCausalLM,
    BertConfig,
    BertLMHeadModel,
    LlamaForCausalLM,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    PreTrainedModel,
    XLNetConfig,
    XLNetLMHeadModel,
)

import anydraft
import shrunk
import small
import tiny
from anydraft.models.batch import sequences
from anydraft.models.faithful import near, proven
from anydraft.models.transformers import TransformersModel
from anydraft.models.versions import cache_of

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "initializer_range": 0.3,
}
BERT: dict[str, Any] = {**SMALL, "num_attention_heads": 4, "intermediate_size": 96}
GPT: dict[str, Any] = {"vocab_size": 96, "n_embd": 64, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}
XLNET: dict[str, Any] = {**GPT, "d_model": 64, "d_inner": 96}


def bart() -> PreTrainedModel:
    return BartForCausalLM(
        BartConfig(
            vocab_size=96,
            d_model=64,
            decoder_layers=2,
            encoder_layers=2,
            decoder_attention_heads=4,
            decoder_ffn_dim=96,
            max_position_embeddings=128,
            init_std=0.3,
            forced_eos_token_id=None,
            eos_token_id=None,
            pad_token_id=0,
        )
    ).eval()


class BothWays(LlamaForCausalLM):
    """Custom code: a token sees those that follow it in its pass."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **given: Any) -> Any:
        seen = cache_of(given).get_seq_length() + input_ids.shape[1]
        mask = torch.ones(len(input_ids), 1, input_ids.shape[1], seen, dtype=torch.bool)
        return super().forward(input_ids=input_ids, attention_mask=mask, **given)


class OffByOne(LlamaForCausalLM):
    """Custom code: what it prepares for ``generate`` shifts positions."""

    def prepare_inputs_for_generation(self, *args: Any, **kwargs: Any) -> Any:
        inputs = super().prepare_inputs_for_generation(*args, **kwargs)
        if inputs.get("position_ids") is not None and inputs["position_ids"].shape[1] == 1:
            inputs["position_ids"] = inputs["position_ids"] + 1
        return inputs


class OwnMask(LlamaForCausalLM):
    """Custom code that is right alone: it makes its own mask and takes no other."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **given: Any) -> Any:
        if attention_mask is not None and attention_mask.dim() == 4:
            attention_mask = None
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **given)


class Faithful(LlamaForCausalLM):
    """Custom code that does as it should."""


def custom(kind: type[LlamaForCausalLM]) -> PreTrainedModel:
    plain = small.model(small.characters(), padding=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(plain.config).eval()
    model.generation_config.eos_token_id = None
    return model


REFUSED: dict[str, tuple[Callable[[], PreTrainedModel], str]] = {
    "encoder": (lambda: BertLMHeadModel(BertConfig(**BERT)).eval(), "is_decoder=True"),
    "no cache": (lambda: OpenAIGPTLMHeadModel(OpenAIGPTConfig(**GPT)).eval(), "keeps no key-value cache"),
    "two streams": (lambda: XLNetLMHeadModel(XLNetConfig(**XLNET)).eval(), "keeps no key-value cache"),
    "state": (lambda: shrunk.shrunk("recurrent_gemma", 96), "whose states cannot be taken back"),
    "both ways": (lambda: custom(BothWays), "several tokens at once are not those"),
    "off by one": (lambda: custom(OffByOne), "several tokens at once are not those"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("as_target", [True, False])
def test_refused_by_both_interfaces(case: str, as_target: bool) -> None:
    make, message = REFUSED[case]
    tokenizer, model = small.characters(), make()
    other = small.model(tokenizer, padding=0)
    target, draft = (model, other) if as_target else (other, model)
    with pytest.raises(anydraft.ModelError, match=message):
        anydraft.Speculator(target, draft, tokenizer, tokenizer)
    with pytest.raises(anydraft.ModelError, match=message):
        target.generate(
            tiny.ids(5, 96)[None],
            max_new_tokens=4,
            pad_token_id=0,
            do_sample=False,
            custom_generate=anydraft.custom_generate(draft, tokenizer, tokenizer),
        )


def test_the_same_encoder_as_a_decoder_is_taken() -> None:
    TransformersModel(BertLMHeadModel(BertConfig(**BERT, is_decoder=True)).eval())


def test_custom_code_is_tried_once() -> None:
    model, passes = custom(Faithful), []
    assert not proven(model)
    model.register_forward_hook(lambda *_: passes.append(1))
    TransformersModel(model)
    assert 0 < len(passes) <= 8
    before = len(passes)
    TransformersModel(model)
    sequences(model, 1)
    assert len(passes) == before


def test_what_is_proven_is_not_tried() -> None:
    model, passes = tiny.llama(), []
    assert proven(model)
    model.register_forward_hook(lambda *_: passes.append(1))
    TransformersModel(model)
    sequences(model, 2)
    assert not passes


def test_a_proven_class_that_is_told_to_look_both_ways_is_tried() -> None:
    model = tiny.gemma3()
    assert proven(model)
    both_ways = tiny.gemma3(use_bidirectional_attention=True)
    assert not proven(both_ways)
    with pytest.raises(anydraft.ModelError, match="several tokens at once are not those"):
        TransformersModel(both_ways)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_is_no_fault(dtype: torch.dtype) -> None:
    TransformersModel(custom(Faithful).to(dtype))
    with pytest.raises(anydraft.ModelError):
        TransformersModel(custom(BothWays).to(dtype))


def test_a_model_that_cannot_continue_text_is_refused() -> None:
    class Failing(LlamaForCausalLM):
        def forward(self, *_: Any, **__: Any) -> Any:
            raise ValueError("pictures are missing")

    with pytest.raises(anydraft.ModelError, match="pictures are missing"):
        TransformersModel(custom(Failing))


def test_virtual_tokens_are_refused() -> None:
    """As PEFT wraps a model for prompt tuning; adapters of weights say so too, and are taken."""
    for learns in (True, False):
        model = small.model(small.characters(), padding=0)
        wrapped: Any = torch.nn.Module()
        wrapped.inner, wrapped.get_base_model = model, lambda model=model: model
        wrapped.active_peft_config = Mock(is_prompt_learning=learns)
        if learns:
            with pytest.raises(anydraft.ModelError, match="virtual tokens"):
                TransformersModel(wrapped)
        else:
            TransformersModel(wrapped)


def test_code_that_takes_no_mask_runs_row_by_row() -> None:
    rows = sequences(custom(OwnMask), 2)
    assert all(isinstance(row, TransformersModel) for row in rows)
    assert not isinstance(sequences(custom(Faithful), 2)[0], TransformersModel)


def test_padded_rows_of_a_model_whose_positions_count_them() -> None:
    tokenizer, model = small.characters(), bart()
    ours = anydraft.custom_generate(small.model(tokenizer, padding=0), tokenizer, tokenizer)
    ids = torch.stack([tiny.ids(8, 96), tiny.ids(8, 96, seed=1)])
    mask = torch.ones_like(ids)
    given: Any = {"max_new_tokens": 12, "do_sample": False}
    found = model.generate(ids, attention_mask=mask, custom_generate=ours, **given)
    assert torch.equal(found, model.generate(ids, attention_mask=mask, **given))
    mask[0, :3] = 0
    with pytest.raises(anydraft.ModelError, match="positions count the padding"):
        model.generate(ids, attention_mask=mask, custom_generate=ours, **given)


def test_logits_are_compared_by_their_spread() -> None:
    logits = torch.randn(4, 96)
    assert near(logits + 1e-4, logits)
    assert near((1e-3 * logits) + 1e-7, 1e-3 * logits)
    assert not near(logits + 0.1, logits)
    assert not near(1e-3 * logits + 1e-4, 1e-3 * logits)
    assert not near(logits[:3], logits)
