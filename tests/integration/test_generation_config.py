"""A generation config given to a Speculator means what it means to the target's own ``generate``."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

import anydraft
import trained
from anydraft import ArgumentError, SamplingOptions
from anydraft.models.logits import ProcessedLaw
from chat_templates import TEMPLATES

PROMPT = "The quick brown fox"


def pair(own: dict[str, Any] | None = None) -> tuple[anydraft.Speculator, Any, Any]:
    """A pair, its target and the target's tokenizer; ``own``: settings of the target's own config."""
    target, draft, tokenizer, other = trained.pair()
    target = copy.deepcopy(target)
    for name, value in (own or {}).items():
        setattr(target.generation_config, name, value)
    made = anydraft.Speculator(target, draft, tokenizer, other, num_draft_tokens=4)
    return made, target, tokenizer


def config(**said: Any) -> GenerationConfig:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return GenerationConfig(**said)


def plain(target: Any, tokenizer: Any, ids: list[int], asked: GenerationConfig, **more: Any) -> list[int]:
    """What the target's own ``generate`` says."""
    given = torch.tensor([ids])
    mask = torch.ones_like(given)
    out = target.generate(given, attention_mask=mask, generation_config=asked, tokenizer=tokenizer, **more)
    said: list[int] = out[0, len(ids) :].tolist()
    return said


@pytest.mark.parametrize(
    "said",
    [
        {"max_new_tokens": 25},
        {"max_length": 40},
        {"max_new_tokens": 25, "repetition_penalty": 1.4},
        {"max_new_tokens": 40, "min_new_tokens": 30, "eos_token_id": [277]},
        {"max_new_tokens": 40, "min_length": 20, "eos_token_id": [277, 270]},
        {"max_new_tokens": 40, "eos_token_id": 114},
        {"max_new_tokens": 60, "stop_strings": ["lazy", "zebra"]},
        {"max_new_tokens": 25, "temperature": 0.3, "top_k": 3},  # of no use without do_sample
    ],
    ids=lambda said: "-".join(said),
)
def test_greedy_text_is_that_of_generate(said: dict[str, Any]) -> None:
    made, target, tokenizer = pair()
    out = made.generate(PROMPT, generation_config=config(**said))
    assert out.token_ids == plain(target, tokenizer, out.prompt_ids, config(**said))
    assert len(out.token_ids) > 1


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ({"temperature": 0.7, "top_k": 5, "top_p": 0.9, "min_p": 0.02}, {}),
        ({"temperature": 0.7}, {}),
        ({"top_k": 7, "repetition_penalty": 1.3}, {}),
        ({"min_new_tokens": 3, "eos_token_id": 277}, {}),
        ({"temperature": 1.5}, {"top_p": 0.8, "repetition_penalty": 1.1, "temperature": 0.4}),
    ],
    ids=["all", "temperature", "penalty", "least", "own"],
)
def test_the_law_is_that_of_generate(said: dict[str, Any], own: dict[str, Any]) -> None:
    made, target, tokenizer = pair(own)
    asked = config(do_sample=True, max_new_tokens=4, **said)
    ids = made.generate(PROMPT, max_new_tokens=1).prompt_ids
    seen: list[Any] = []

    def caught(model: Any, input_ids: Any, logits_processor: Any = None, **rest: Any) -> Any:
        seen.extend(logits_processor)
        return input_ids

    plain(target, tokenizer, ids, asked, custom_generate=caught)
    options = SamplingOptions.of(
        {"generation_config": asked}, own=target.generation_config, prompt_length=len(ids)
    )
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(4, target.config.vocab_size, generator=chance) * 3
    candidates = torch.tensor([277, 5, 9])
    ours = options.law(len(ids), options.end_ids(frozenset(), logits.shape[1]))
    assert seen
    assert torch.equal(ours(logits, ids, candidates), ProcessedLaw(seen)(logits, ids, candidates))


def test_a_target_that_samples_by_itself_is_asked_only_with_a_config() -> None:
    made, target, tokenizer = pair({"do_sample": True, "temperature": 5.0})
    greedy = plain(
        target, tokenizer, made.generate(PROMPT).prompt_ids, config(max_new_tokens=20), do_sample=False
    )
    assert made.generate(PROMPT, max_new_tokens=20).token_ids == greedy
    asked = config(max_new_tokens=20)
    assert made.generate(PROMPT, generation_config=asked, seed=1).token_ids != greedy
    assert made.generate(PROMPT, generation_config=asked, temperature=0.0).token_ids == greedy


def test_keywords_go_before_it() -> None:
    made, _, _ = pair()
    asked = config(max_new_tokens=20, stop_strings=["lazy"])
    assert len(made.generate(PROMPT, generation_config=asked, max_new_tokens=3).token_ids) == 3
    out = made.generate(PROMPT, generation_config=asked, stop=())
    assert (len(out.token_ids), out.finish_reason) == (20, "length")


def test_time_is_kept() -> None:
    made, _, _ = pair()
    asked = config(max_new_tokens=400, max_time=1e-9, eos_token_id=[])
    assert made.generate(PROMPT, generation_config=asked).finish_reason == "time"


def test_streams_and_chats_take_it() -> None:
    target, draft, *tokenizers = trained.pair()
    tokenizers = [copy.deepcopy(tokenizer) for tokenizer in tokenizers]
    for tokenizer, template in zip(tokenizers, TEMPLATES, strict=True):
        tokenizer.chat_template = template
    made = anydraft.Speculator(target, draft, *tokenizers)
    asked = config(max_new_tokens=7, eos_token_id=[])
    assert sum(len(event.token_ids) for event in made.stream(PROMPT, generation_config=asked)) == 7
    chat = made.chat(generation_config=asked)
    assert len(chat.say("The quick").token_ids) == 7
    assert len(chat.say("Ça va", max_new_tokens=3).token_ids) == 3
    assert len(chat.say("12345", generation_config=config(max_new_tokens=2, eos_token_id=[])).token_ids) == 2


def test_what_cannot_be_honoured_is_refused_before_anything_runs() -> None:
    made, _, _ = pair()
    for decode in (made.generate, made.stream):
        with pytest.raises(ArgumentError, match="num_beams=4"):
            decode(PROMPT, generation_config=config(num_beams=4))
    with pytest.raises(ArgumentError, match="got max_length=2 in a generation_config and a prompt of"):
        made.generate(PROMPT, generation_config=config(max_length=2))
    with pytest.raises(ArgumentError, match=r"got eos_token_id=.*expected ids from 0"):
        made.generate(PROMPT, generation_config=config(eos_token_id=10**6))


def test_a_misspelt_option_is_refused_everywhere() -> None:
    made, _, _ = pair()
    wrong: dict[str, Any] = {"max_tokens": 3}
    for decode in (made.generate, made.stream, made.chat, made.chat().say, made.chat().stream):
        with pytest.raises(ArgumentError, match=r"got max_tokens; .*did you mean max_new_tokens\?"):
            decode(**wrong)
