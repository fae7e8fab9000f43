"""ProcessedLaw: the rows that decoding one token at a time would have made."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    TemperatureLogitsWarper,
)

from anydraft.errors import ArgumentError
from anydraft.models.logits import ProcessedLaw, logits_processors, processed_law

V, K, L = 50, 5, 12

SETTINGS = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.3, "top_k": 7},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"repetition_penalty": 1.8},
    {"repetition_penalty": 1.8, "temperature": 0.6, "top_k": 20, "top_p": 0.9, "min_p": 0.02},
    {"temperature": 0.0},
    {"temperature": 0.0, "repetition_penalty": 3.0},
]


class Recorder(LogitsProcessor):
    """Notes the ids it is shown; prefers the last of them."""

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, scores):
        self.seen.append(input_ids[0].tolist())
        scores[:, input_ids[0, -1]] += 3  # some of transformers' own write in place too
        return scores


class Never(list):
    """A prefix that must not be read."""

    def __len__(self):
        raise AssertionError("the prefix was read")

    __iter__ = __getitem__ = __len__


@pytest.fixture
def block():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(K, V, generator=generator) * 3
    ids = torch.randint(V, (L + K - 1,), generator=generator)
    return logits, ids[:L], ids[L:]


def step_by_step(processors, logits, ids, *, greedy):
    """As ``generate`` does it: one row, float32, all ids so far."""
    rows = []
    for i in range(len(logits)):
        scores = logits[i, None].to(torch.float32, copy=True)
        scores = LogitsProcessorList(processors)(ids[None, : L + i], scores)
        one = torch.nn.functional.one_hot(scores.argmax(-1), V).float()
        rows.append(one if greedy else scores.softmax(-1))
    return torch.cat(rows)


@pytest.mark.parametrize("values", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", [list, torch.tensor])
def test_rows_equal_plain_decoding(values, kind, block):
    logits, prefix, candidates = block
    law = processed_law(**values)
    got = law(logits, kind(prefix.tolist()), candidates)
    greedy = values.get("temperature") == 0
    expected = step_by_step(
        logits_processors(**values), logits, torch.cat((prefix, candidates)), greedy=greedy
    )
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)
    assert law.greedy == greedy
    assert torch.equal(law.best(logits, prefix, candidates), expected.argmax(-1))


def test_prefix_processors_change_these_rows(block):
    """Were the candidates left out of the prefix, the test above would have to fail."""
    logits, prefix, candidates = block
    law = processed_law(repetition_penalty=1.8)
    other = (candidates + 1) % V
    same = law(logits, prefix, candidates) == law(logits, prefix, other)
    assert same[0].all()
    assert not same[1:].all(-1).any()


def test_any_processor_sees_exactly_the_ids_of_plain_decoding_in_order(block):
    logits, prefix, candidates = block
    before = logits.clone()
    recorder = Recorder()
    processors = [recorder, TemperatureLogitsWarper(0.5), NoRepeatNGramLogitsProcessor(1)]
    got = ProcessedLaw(processors)(logits, prefix, candidates)
    ids = torch.cat((prefix, candidates))
    assert recorder.seen == [ids[: L + i].tolist() for i in range(K)]
    assert torch.equal(logits, before)
    assert torch.equal(got, step_by_step(processors, logits, ids, greedy=False))


def test_without_such_processors_the_prefix_is_never_read(block):
    logits, _, candidates = block
    law = processed_law(temperature=0.7, top_k=5, top_p=0.9, min_p=0.01)
    assert not law.reads_prefix
    law(logits, Never(), candidates)
    assert processed_law(repetition_penalty=1.1).reads_prefix
    with pytest.raises(AssertionError, match="was read"):
        processed_law(repetition_penalty=1.1)(logits, Never(), candidates)


def test_a_subclass_is_not_taken_for_its_parent(block):
    class Peeking(TemperatureLogitsWarper):
        def __call__(self, input_ids, scores):
            return super().__call__(input_ids, scores) * input_ids.shape[1]

    assert ProcessedLaw([Peeking(0.5)]).reads_prefix


def test_low_precision_logits_are_processed_in_float32(block):
    logits, prefix, candidates = block
    law = processed_law(temperature=0.7, top_p=0.9)
    half = logits.bfloat16()
    assert torch.equal(law(half, prefix, candidates), law(half.float(), prefix, candidates))


@pytest.mark.parametrize("shape", [(V,), (3, V), (2, 3, V)])
def test_the_draft_side_skips_what_needs_the_prefix(shape):
    logits = torch.randn(shape)
    both = processed_law(repetition_penalty=1.8, top_p=0.8)
    assert torch.equal(both.without_prefix(logits), processed_law(top_p=0.8).without_prefix(logits))
    assert both.without_prefix(logits).shape == shape
    torch.testing.assert_close(both.without_prefix(logits).sum(-1), torch.ones(shape[:-1]))


def test_values_that_are_off_make_no_processor():
    off = logits_processors(temperature=1, top_k=0, top_p=1, min_p=0, repetition_penalty=1)
    assert len(off) == 0
    assert len(logits_processors()) == 0
    assert len(logits_processors(temperature=0, top_k=3, top_p=0.5)) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("temperature", 1e-40),
        ("temperature", "hot"),
        ("temperature", None),
        ("temperature", True),
        ("top_k", -1),
        ("top_k", 2.5),
        ("top_k", "3"),
        ("top_p", 0),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("min_p", -0.1),
        ("min_p", 1.1),
        ("repetition_penalty", 0),
        ("repetition_penalty", -1),
        ("repetition_penalty", math.inf),
    ],
)
def test_invalid_values_say_got_and_expected(name, value):
    with pytest.raises(ArgumentError, match=f"got {name}=.*expected"):
        logits_processors(**{name: value})


def test_mismatched_block_is_refused(block):
    logits, prefix, candidates = block
    with pytest.raises(ArgumentError, match="one row more"):
        processed_law()(logits, prefix, candidates[1:])
    with pytest.raises(ArgumentError, match="choice"):
        ProcessedLaw([], choice="beam")
