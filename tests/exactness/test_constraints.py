"""Real constraint libraries, whose processors keep a state: JSON by a schema, with a draft as without."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, PrefixConstrainedLogitsProcessor

import anydraft
import trained
from sampled import one_of
from test_integrations_sampling import p_value

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "animal": {"enum": ["fox", "dog", "lazy dog"]},
            "legs": {"type": "integer", "minimum": 0, "maximum": 20},
            "brown": {"type": "boolean"},
        },
        "required": ["animal", "legs", "brown"],
        "additionalProperties": False,
    }
)
CHOICE = r'"(fox|dog|lazy dog|cat)"'
STARTS = ("The quick", "def fib(n)", "12345", "merci. ")
PROMPTS = [f"{start} {word}" for start in STARTS for word in ("fox", "1", "")]
FALSE_ALARM = 1e-3

Schema = Any
"""A JSON schema, or a regular expression."""


@cache
def parts() -> tuple[Any, Any, Any, Any]:
    """The target has the byte-level tokenizer, which all libraries can read."""
    return trained.pair(swap=True)


@cache
def xgrammar_grammar(schema: str) -> Any:
    xgr = pytest.importorskip("xgrammar", reason="needs xgrammar")
    model, _, tokenizer, _ = parts()
    compiler = xgr.GrammarCompiler(
        xgr.TokenizerInfo.from_huggingface(tokenizer, vocab_size=model.config.vocab_size)
    )
    return compiler.compile_json_schema(schema) if schema[0] == "{" else compiler.compile_regex(schema)


def xgrammar(schema: str) -> Any:
    grammar = xgrammar_grammar(schema)
    from xgrammar.contrib.hf import LogitsProcessor as Processor

    return Processor(grammar)


@cache
def llguidance_tokenizer() -> Any:
    pytest.importorskip("llguidance", reason="needs llguidance")
    from llguidance import hf

    model, _, tokenizer, _ = parts()
    return hf.from_tokenizer(tokenizer, n_vocab=model.config.vocab_size)


class Guiding(LogitsProcessor):
    """As llguidance's documentation has it for a loop of one's own."""

    def __init__(self, schema: str) -> None:
        tokenizer = llguidance_tokenizer()
        from llguidance import LLMatcher
        from llguidance.torch import allocate_token_bitmask

        if schema[0] == "{":
            grammar = json.dumps({"grammars": [{"json_schema": json.loads(schema)}]})
        else:
            grammar = LLMatcher.grammar_from_regex(schema)
        self.matcher = LLMatcher(tokenizer, grammar)
        self.mask, self.begun = allocate_token_bitmask(1, parts()[0].config.vocab_size), False

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        from llguidance.torch import fill_next_token_bitmask

        if self.begun:
            assert self.matcher.consume_token(int(input_ids[0, -1]))
        self.begun = True
        fill_next_token_bitmask(self.matcher, self.mask, 0)
        allowed = (self.mask[:, :, None] >> torch.arange(32)) & 1
        return scores.masked_fill(allowed.flatten(1)[:, : scores.shape[1]] == 0, -torch.inf)


@cache
def enforcer_data() -> Any:
    library = pytest.importorskip("lmformatenforcer", reason="needs lm-format-enforcer")
    _, _, tokenizer, _ = parts()
    texts = {i: tokenizer.decode([i]) for i in set(range(len(tokenizer))) - set(tokenizer.all_special_ids)}
    regular = [(i, text, text.startswith(" ")) for i, text in texts.items() if "\ufffd" not in text]
    end = tokenizer.eos_token_id
    return library.TokenEnforcerTokenizerData(regular, tokenizer.decode, end, False, len(tokenizer))


def lm_format_enforcer(schema: str) -> Any:
    data = enforcer_data()
    from lmformatenforcer import JsonSchemaParser, RegexParser, TokenEnforcer

    enforcer = TokenEnforcer(
        data, JsonSchemaParser(json.loads(schema)) if schema[0] == "{" else RegexParser(schema)
    )
    return PrefixConstrainedLogitsProcessor(
        lambda _, ids: enforcer.get_allowed_tokens(ids.tolist()).allowed_tokens, 1
    )


@cache
def outlines_processor(schema: str) -> Any:
    library = pytest.importorskip("outlines", reason="needs outlines")
    from outlines.backends import get_json_schema_logits_processor, get_regex_logits_processor

    model, _, tokenizer, _ = parts()
    make = get_json_schema_logits_processor if schema[0] == "{" else get_regex_logits_processor
    return make("outlines_core", library.from_transformers(model, tokenizer), schema)


def outlines(schema: str) -> Any:
    processor = outlines_processor(schema)
    processor.reset()
    return processor


LIBRARIES: list[Callable[[str], Any]] = [xgrammar, Guiding, lm_format_enforcer, outlines]
NAMES = ["xgrammar", "llguidance", "lmfe", "outlines"]


def said(text: str, processor: Any, **options: Any) -> list[int]:
    model, _, tokenizer, _ = parts()
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    out = model.generate(ids, logits_processor=[processor], pad_token_id=tokenizer.eos_token_id, **options)
    return out[0, ids.shape[1] :].tolist()


@cache
def custom(method: Any = "auto") -> Any:
    _, draft, tokenizer, draft_tokenizer = parts()
    return anydraft.custom_generate(draft, tokenizer, draft_tokenizer, method=method, num_draft_tokens=5)


@pytest.mark.parametrize("constrain", one_of(2, LIBRARIES, first=1), ids=NAMES)
def test_json_by_a_schema_is_greedy_identical(constrain: Callable[[str], Any]) -> None:
    pair = anydraft.Speculator(*parts(), num_draft_tokens=5)
    accepted = 0
    for i, text in enumerate(PROMPTS):
        plain = said(text, constrain(SCHEMA), do_sample=False, max_new_tokens=60)
        ours = said(text, constrain(SCHEMA), do_sample=False, max_new_tokens=60, custom_generate=custom())
        assert ours == plain, text
        accepted += custom().stats[0].accepted
        if i % 5 == 0:
            own = pair.generate(text, max_new_tokens=60, logits_processor=[constrain(SCHEMA)])
            assert own.token_ids == plain
    assert accepted > 0


def law(constrain: Callable[[str], Any], text: str) -> dict[tuple[int, ...], float]:
    """The law of whole answers by the target alone, one token after the other; but for what is very rare."""
    model, _, tokenizer, _ = parts()
    start = tokenizer(text, return_tensors="pt")["input_ids"]
    found: dict[tuple[int, ...], float] = {}
    unfinished: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    while unfinished:
        tokens, p = unfinished.pop()
        if p < 1e-3 or (tokens and tokens[-1] == tokenizer.eos_token_id):
            found[tokens] = p
            continue
        processor, scores = constrain(CHOICE), torch.empty(0)
        for length in range(len(tokens) + 1):
            ids = torch.cat((start, torch.tensor([tokens[:length]], dtype=torch.int64)), 1)
            scores = processor(ids, model(ids).logits[:, -1].float())
        chances = scores[0].double().softmax(0)
        unfinished += [((*tokens, int(t)), p * float(chances[t])) for t in chances.nonzero()]
    return found


@pytest.mark.parametrize("constrain", one_of(2, LIBRARIES), ids=NAMES)
def test_samples_have_the_constrained_law(constrain: Callable[[str], Any]) -> None:
    text, samples = "The quick", 250
    counts: Counter[tuple[int, ...]] = Counter()
    options = {"do_sample": True, "top_k": 0, "max_new_tokens": 24, "custom_generate": custom("slrs")}
    for seed in range(samples):
        counts[tuple(said(text, constrain(CHOICE), seed=seed, **options))] += 1
    expected = law(constrain, text)
    assert p_value(counts, expected, samples) > FALSE_ALARM
    powered = {tokens: p**4 for tokens, p in expected.items()}
    wrong = {tokens: p / sum(powered.values()) for tokens, p in powered.items()}
    assert p_value(counts, wrong, samples) < FALSE_ALARM
