"""The options of a decode: one set with types, checked in one place."""

from __future__ import annotations

import inspect
import math
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import numpy as np
import pytest
import torch

import anydraft
from anydraft import ArgumentError, SamplingKeywords, SamplingOptions, Speculator
from anydraft.bridge.prompts import plain_ids
from anydraft.chat import Conversation, Pair
from anydraft.engine.options import PROMPTS, check_names


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


@pytest.mark.parametrize(
    "make", [lambda: iter(["a", "b"]), lambda: map(str, "ab"), lambda: {"a": 1, "b": 2}.keys()]
)
def test_stop_strings_are_kept_however_they_come(make: Any) -> None:
    """An iterator that was read by a check would say nothing afterwards."""
    for options in (SamplingOptions(stop=make()), SamplingOptions.of({"stop": make()})):
        assert options.stop == ("a", "b")
        assert replace(options, seed=1).stop == ("a", "b")
    assert SamplingOptions(stop="ab").stop == "ab"


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


def test_whole_numbers_of_other_libraries_are_pythons() -> None:
    given: dict[str, Any] = {"max_new_tokens": np.int64(8), "min_new_tokens": torch.tensor(3)}
    for ends in ([np.int64(5), 7], np.array([5, 7]), torch.tensor([5, 7])):
        options = SamplingOptions(**given, eos_token_id=ends)
        assert options == SamplingOptions(max_new_tokens=8, min_new_tokens=3, eos_token_id=(5, 7))
        assert {type(options.max_new_tokens), *map(type, options.end_ids(frozenset(), 9))} == {int}
    for end in (np.int64(5), torch.tensor(5), 5):
        assert SamplingOptions(eos_token_id=end).end_ids(frozenset(), 9) == {5}
    for wrong in (np.float64(8), 8.0, True, torch.tensor(8.5), "8"):
        with pytest.raises(ArgumentError, match="expected a whole number, 0 or more"):
            SamplingOptions(max_new_tokens=wrong)  # type: ignore[arg-type]


def test_ids_of_other_libraries() -> None:
    for ids in ([np.int64(3), 4], np.array([3, 4]), torch.tensor([[3, 4]])):
        found = plain_ids(ids, 9)
        assert found == [3, 4]
        assert {type(i) for i in found} == {int}
    for wrong in ([np.int64(9)], [2.0], [True]):
        with pytest.raises(ArgumentError, match="expected one sequence of target ids from 0 to 8"):
            plain_ids(wrong, 9)
