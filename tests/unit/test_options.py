"""The options of a decode: one set with types, checked in one place, and read from a generation config."""

from __future__ import annotations

import inspect
import math
import warnings
from dataclasses import FrozenInstanceError, fields
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

import anydraft
from anydraft import ArgumentError, SamplingKeywords, SamplingOptions, Speculator
from anydraft.chat import Conversation, Pair
from anydraft.engine.options import PROMPTS, check_names
from anydraft.models import generation_config


def config(**said: Any) -> GenerationConfig:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # some settings are of no use without others, and transformers says so
        return GenerationConfig(**said)


def read(*, own: Any = None, prompt_length: int = 4, given: Any = None, **said: Any) -> SamplingOptions:
    """A config's settings as options; ``given``: explicit ones."""
    options: SamplingKeywords = {"generation_config": config(**said), **(given or {})}
    return SamplingOptions.of(options, own=own, prompt_length=prompt_length)


class TestOneSet:
    def test_keywords_and_options_are_the_same(self) -> None:
        names = {field.name: field.type for field in fields(SamplingOptions)}
        keywords = {name: hint.__forward_arg__ for name, hint in SamplingKeywords.__annotations__.items()}
        assert keywords.pop("generation_config") == "GenerationConfig | None"
        assert keywords == names

    @pytest.mark.parametrize(
        "method",
        [
            Speculator.generate,
            Speculator.stream,
            Speculator.astream,
            Speculator.chat,
            Conversation.__init__,
            Conversation.say,
            Conversation.stream,
            Pair.stream,
        ],
        ids=lambda method: method.__qualname__,
    )
    def test_everything_that_decodes_takes_it(self, method: Any) -> None:
        rest = [p for p in inspect.signature(method).parameters.values() if p.kind is p.VAR_KEYWORD]
        assert [parameter.annotation for parameter in rest] == ["Unpack[SamplingKeywords]"]

    def test_what_a_decode_begins_with_is_no_option(self) -> None:
        for method in (Speculator.generate, Speculator.stream, Speculator.astream):
            parameters = inspect.signature(method).parameters
            assert tuple(name for name in parameters if name not in ("self", "options")) == PROMPTS

    def test_it_does_not_change(self) -> None:
        with pytest.raises(FrozenInstanceError):
            SamplingOptions().seed = 3  # type: ignore[misc]


class TestNames:
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            (
                "max_tokens",
                r"got max_tokens; expected .*max_new_tokens, temperature.*did you mean max_new_tokens",
            ),
            ("temprature", "did you mean temperature"),
            ("stopping", "did you mean stopping_criteria|did you mean stop"),
            ("message", "did you mean messages"),
            ("do_sample", "do_sample is said in a GenerationConfig, given as generation_config"),
            ("stop_strings", "stop_strings is said in a GenerationConfig"),
            ("colour", "leave it out"),
        ],
    )
    def test_a_misspelt_name(self, name: str, said: str) -> None:
        with pytest.raises(ArgumentError, match=said):
            check_names([name, "seed"])

    def test_known_names(self) -> None:
        check_names([*(field.name for field in fields(SamplingOptions)), "generation_config"])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"max_new_tokens": -1}, "got max_new_tokens=-1; expected a whole number, 0 or more"),
    ({"max_new_tokens": 1.5}, "got max_new_tokens=1.5; expected a whole number"),
    ({"max_new_tokens": True}, "got max_new_tokens=True; expected a whole number"),
    ({"min_new_tokens": -1}, "got min_new_tokens=-1; expected a whole number, 0 or more"),
    ({"temperature": -1.0}, r"got temperature=-1.0; expected 0 \(greedy\) or more"),
    ({"temperature": math.nan}, "got temperature=nan"),
    ({"draft_temperature": -1.0}, "got temperature=-1.0"),
    ({"top_k": -3}, "got top_k=-3"),
    ({"draft_top_k": 2.5}, "got top_k=2.5"),
    ({"top_p": 0.0}, "got top_p=0.0; expected more than 0"),
    ({"min_p": 2}, "got min_p=2"),
    ({"repetition_penalty": 0}, "got repetition_penalty=0"),
    ({"eos_token_id": -1}, "got eos_token_id=-1"),
    ({"eos_token_id": [2, "3"]}, "got eos_token_id='3'"),
    ({"stop": [""]}, "expected a string, or several, none of them empty"),
    ({"stop": 5}, "got stop=5; expected a string"),
    ({"max_time": 0}, "got max_time=0; expected seconds"),
    ({"max_time": "5"}, "got max_time='5'; expected seconds"),
    ({"seed": 1.5}, "got seed=1.5; expected a whole number"),
    ({"logits_processor": len}, "got logits_processor=.*; expected a list"),
    ({"stopping_criteria": [3]}, "got stopping_criteria=.*; expected a list"),
]


@pytest.mark.parametrize(("values", "said"), BAD)
def test_a_value_outside_its_domain(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        SamplingOptions(**values)


class TestEndTokens:
    def test_the_targets_own_or_those_asked_for(self) -> None:
        own = frozenset({2})
        assert SamplingOptions().end_ids(own, 10) == own
        assert SamplingOptions(eos_token_id=5).end_ids(own, 10) == {5}
        assert SamplingOptions(eos_token_id=[5, 6]).end_ids(own, 10) == {5, 6}
        assert SamplingOptions(eos_token_id=[]).end_ids(own, 10) == frozenset()

    def test_an_id_that_the_target_does_not_have(self) -> None:
        with pytest.raises(ArgumentError, match="got eos_token_id=10; expected ids from 0 to 9"):
            SamplingOptions(eos_token_id=10).end_ids(frozenset(), 10)


class TestGenerationConfig:
    def test_what_it_says(self) -> None:
        found = read(
            do_sample=True,
            temperature=0.7,
            top_k=20,
            top_p=0.8,
            min_p=0.05,
            repetition_penalty=1.05,
            max_new_tokens=33,
            min_new_tokens=3,
            eos_token_id=[2, 7],
            stop_strings=["\n\n"],
            max_time=5.0,
        )
        assert found == SamplingOptions(
            max_new_tokens=33,
            temperature=0.7,
            top_k=20,
            top_p=0.8,
            min_p=0.05,
            repetition_penalty=1.05,
            min_new_tokens=3,
            eos_token_id=[2, 7],
            stop=["\n\n"],
            max_time=5.0,
        )

    def test_greedy_unless_it_samples(self) -> None:
        assert read(temperature=0.7).temperature == 0
        assert read(do_sample=False, temperature=0.7).temperature == 0
        assert read(do_sample=True).temperature == 1
        assert read(do_sample=True).top_k == 50  # as generate of transformers has it
        assert read(do_sample=True, top_k=0).top_k == 0

    def test_lengths_count_the_prompt_where_transformers_does(self) -> None:
        assert read(max_length=30, prompt_length=10).max_new_tokens == 20
        assert read(max_length=30, max_new_tokens=7, prompt_length=10).max_new_tokens == 7
        assert read(min_length=15, prompt_length=10).min_new_tokens == 5
        assert read(min_length=9, prompt_length=10).min_new_tokens is None
        assert read(min_length=15, min_new_tokens=2, prompt_length=10).min_new_tokens == 5
        assert read().max_new_tokens == SamplingOptions().max_new_tokens

    def test_a_prompt_that_leaves_nothing_of_max_length(self) -> None:
        with pytest.raises(
            ArgumentError, match="got max_length=10 in a generation_config and a prompt of 10"
        ):
            read(max_length=10, prompt_length=10)
        assert read(max_length=10, prompt_length=10, given={"max_new_tokens": 2}).max_new_tokens == 2

    def test_explicit_keywords_go_before_it(self) -> None:
        said = {"do_sample": True, "temperature": 0.7, "top_k": 20, "eos_token_id": 4, "stop_strings": "x"}
        given = {"temperature": 0.2, "top_k": None, "eos_token_id": 5, "stop": "y", "max_new_tokens": 3}
        found = read(**said, max_new_tokens=9, given=given)
        assert {name: getattr(found, name) for name in given} == given
        assert read(**said, given={"temperature": 0.0}).law(0, ()).greedy

    def test_what_it_leaves_unsaid_is_the_targets_own(self) -> None:
        own = config(do_sample=True, temperature=0.6, top_p=0.9, max_new_tokens=5, eos_token_id=3)
        found = read(top_p=0.5, own=own)
        assert (found.temperature, found.top_p, found.eos_token_id) == (0.6, 0.5, 3)
        assert found.max_new_tokens == SamplingOptions().max_new_tokens

    def test_without_one_the_targets_own_is_not_asked(self) -> None:
        own = config(do_sample=True, temperature=0.6, num_beams=4)
        assert SamplingOptions.of({}, own=own) == SamplingOptions()

    @pytest.mark.parametrize(
        "said",
        [
            {"num_beams": 4},
            {"num_beams": 4, "num_beam_groups": 2},
            {"num_return_sequences": 2, "do_sample": True},
            {"penalty_alpha": 0.6},
            {"typical_p": 0.9},
            {"epsilon_cutoff": 3e-4},
            {"eta_cutoff": 3e-4},
            {"no_repeat_ngram_size": 2},
            {"encoder_repetition_penalty": 1.2},
            {"bad_words_ids": [[4]]},
            {"sequence_bias": [[[4], 1.0]]},
            {"suppress_tokens": [4]},
            {"begin_suppress_tokens": [4]},
            {"forced_eos_token_id": 4},
            {"forced_bos_token_id": 4},
            {"exponential_decay_length_penalty": (3, 1.1)},
            {"remove_invalid_values": True},
            {"guidance_scale": 1.5},
            {"watermarking_config": {"bias": 2.5}},
            {"prompt_lookup_num_tokens": 3},
            {"assistant_early_exit": 2},
            {"num_assistant_tokens": 7},
            {"assistant_confidence_threshold": 0.7},
            {"dola_layers": "high"},
            {"token_healing": True},
            {"output_scores": True, "return_dict_in_generate": True},
            {"output_hidden_states": True, "return_dict_in_generate": True},
            {"cache_implementation": "quantized"},
        ],
        ids=lambda said: next(iter(said)),
    )
    def test_what_cannot_be_honoured_is_named(self, said: dict[str, Any]) -> None:
        name = next(iter(said))
        with pytest.raises(ArgumentError, match=rf"got a generation_config with .*{name}=.*; expected"):
            read(**said)
        with pytest.raises(ArgumentError, match=rf"{name}="):
            read(own=config(**said))

    def test_whose_setting_it_is(self) -> None:
        with pytest.raises(ArgumentError, match=r"num_beams=4 \(the target's own\);"):
            read(own=config(num_beams=4))
        with pytest.raises(ArgumentError, match="num_beams=4;"):
            read(num_beams=4)

    @pytest.mark.parametrize(
        "said",
        [
            {"num_beams": 1, "num_return_sequences": 1, "typical_p": 1.0, "guidance_scale": 1},
            {"no_repeat_ngram_size": 0, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0, "output_scores": False},
            {"use_cache": True, "pad_token_id": 0, "bos_token_id": 1, "return_dict_in_generate": True},
            {"cache_implementation": "hybrid", "early_stopping": True, "renormalize_logits": True},
        ],
        ids=["ones", "zeros", "tokens", "computing"],
    )
    def test_what_changes_nothing_is_taken(self, said: dict[str, Any]) -> None:
        assert read(**said) == read()

    def test_a_setting_that_nobody_has_looked_at_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Newer(GenerationConfig):  # type: ignore[misc]
            def __init__(self, new_cut: Any = None) -> None:
                super().__init__()
                self.new_cut = new_cut

        monkeypatch.setattr(generation_config, "GenerationConfig", Newer)
        assert SamplingOptions.of({"generation_config": Newer()}).temperature == 0
        with pytest.raises(ArgumentError, match=r"new_cut=0\.5"):
            SamplingOptions.of({"generation_config": Newer(0.5)})

    def test_something_else(self) -> None:
        with pytest.raises(
            ArgumentError, match="got generation_config of type dict; expected a GenerationConfig"
        ):
            SamplingOptions.of({"generation_config": {"top_k": 4}})  # type: ignore[typeddict-item]
        with pytest.raises(ArgumentError, match="of type SimpleNamespace"):
            SamplingOptions.of({"generation_config": SimpleNamespace(top_k=4)})  # type: ignore[typeddict-item]

    def test_the_config_is_not_changed(self) -> None:
        given, own = config(do_sample=True, top_k=3), config(top_p=0.5)
        before = given.to_dict(), own.to_dict()
        SamplingOptions.of({"generation_config": given}, own=own)
        assert (given.to_dict(), own.to_dict()) == before


def test_the_law_has_the_processors_in_transformers_order() -> None:
    options = SamplingOptions(
        temperature=0.5, top_k=4, top_p=0.9, min_p=0.1, repetition_penalty=1.2, min_new_tokens=2
    )
    names = [type(processor).__name__ for processor in options.law(5, [1]).processors]
    assert names == [
        "MinNewTokensLengthLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "TemperatureLogitsWarper",
        "TopKLogitsWarper",
        "TopPLogitsWarper",
        "MinPLogitsWarper",
    ]


def test_the_draft_has_the_targets_values_unless_it_is_told_otherwise() -> None:
    logits = torch.randn(30)
    alike = SamplingOptions(temperature=0.5, top_k=4)
    told = SamplingOptions(temperature=1.0, draft_temperature=0.5, draft_top_k=4)
    assert torch.equal(alike.draft_law().without_prefix(logits), told.draft_law().without_prefix(logits))
    assert not torch.equal(alike.draft_law().without_prefix(logits), told.law(0, ()).without_prefix(logits))
    assert anydraft.SamplingOptions is SamplingOptions
