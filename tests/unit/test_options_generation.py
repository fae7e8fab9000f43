"""Options as they are read from a generation config of transformers."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import GenerationConfig

from anydraft import ArgumentError, SamplingKeywords, SamplingOptions
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
