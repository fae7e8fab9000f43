"""What a target says of pictures with a draft that does not see them is what it says without."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessorList, SuppressTokensLogitsProcessor, TopKLogitsWarper

import anydraft
import pictures
import shrunk
from anydraft.models.prefill import Prefill, prefill_of, reads_more
from anydraft.models.proven import PICTURES
from anydraft.models.transformers import TransformersModel
from enumeration import EnumeratingRandomness, branches
from pictures import FAMILIES, PLACEHOLDER, inputs

TOKENS = 64
AXES = "qwen2_vl"
"""A family whose pictures move the positions of all that follows."""
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        not reads_more(pictures.model("llava")),
        reason="this transformers does not tell positions behind pictures",
    ),
]


@cache
def target(name: str) -> Any:
    return pictures.model(name)


@cache
def draft(name: str) -> Any:
    return shrunk.perturbed(target(name), 0.03)


def said(name: str, given: dict[str, Tensor], **options: Any) -> list[list[int]]:
    """What ``generate`` says after the prompts."""
    options = {"max_new_tokens": TOKENS, "do_sample": False, "repetition_penalty": 1.5, **options}
    found: Tensor = target(name).generate(**given, **options)
    return found[:, given["input_ids"].shape[1] :].tolist()


def custom(name: str, **options: Any) -> Any:
    options = {"method": "tli", "num_draft_tokens": 4, **options}
    return anydraft.custom_generate(draft(name), pictures.tokenizer(), pictures.tokenizer(), **options)


def pair(name: str) -> anydraft.Speculator:
    tokenizers = pictures.tokenizer(), pictures.tokenizer()
    return anydraft.Speculator(target(name), draft(name), *tokenizers, method="tli", num_draft_tokens=4)


def joined(name: str, seeds: tuple[int, ...] = (0, 1)) -> dict[str, Tensor]:
    """A batch of texts of different lengths, each with a picture of its own, padded on the left."""
    rows = [inputs(name, target(name), seed, before=20 + 3 * seed, after=40) for seed in seeds]
    length = max(row["input_ids"].shape[1] for row in rows)
    made: dict[str, Tensor] = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        if values[0].shape == rows[0]["input_ids"].shape:
            values = [torch.nn.functional.pad(value, (length - value.shape[1], 0)) for value in values]
        made[key] = torch.cat(values)
    return made


@pytest.mark.parametrize("name", FAMILIES)
def test_one_picture(name: str) -> None:
    given = inputs(name, target(name), before=20, after=40)
    expected = said(name, given)
    assert len(set(expected[0])) > 20
    assert said(name, given) != said(name, inputs(name, target(name), 2, before=20, after=40))
    ours = custom(name)
    assert said(name, given, custom_generate=ours) == expected
    output = pair(name).generate(inputs=given, max_new_tokens=TOKENS, repetition_penalty=1.5)
    assert list(output.token_ids) == expected[0]
    assert output.stats.accepted / output.stats.drafted > 0.03
    assert list(output.prompt_ids) == given["input_ids"][0].tolist()


def test_no_penalty_is_needed() -> None:
    """Without one a block might be a tree, which a target does not read behind a picture."""
    given = inputs(AXES, target(AXES), before=20, after=40)
    expected = said(AXES, given, repetition_penalty=1.0, max_new_tokens=12)
    output = pair(AXES).generate(inputs=given, max_new_tokens=12)
    assert list(output.token_ids) == expected[0]
    assert output.stats.verified == output.stats.proposed


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_with_pictures_of_different_sides(name: str) -> None:
    given = joined(name)
    if name == "paligemma":  # it reads padded rows otherwise than by themselves
        with pytest.raises(anydraft.ModelError, match="padded rows"):
            said(name, given, custom_generate=custom(name))
        one = inputs(name, target(name), before=20, after=40)
        given = {key: value.repeat_interleave(2, 0) for key, value in one.items()}
    assert said(name, given, custom_generate=custom(name)) == said(name, given)


def test_two_decodes_of_one_model_take_turns() -> None:
    given = [inputs(AXES, target(AXES), seed, before=20, after=40) for seed in (0, 1)]
    expected = [said(AXES, each)[0] for each in given]
    streams = [
        pair(AXES).stream(inputs=each, max_new_tokens=TOKENS, repetition_penalty=1.5) for each in given
    ]
    found: list[list[int]] = [[], []]
    while any(len(ids) < TOKENS for ids in found):
        for ids, stream in zip(found, streams, strict=True):
            event = next(stream, None)
            ids += event.token_ids if event else []
    assert found == expected


def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: positions that count tokens."""
    right = Prefill._offsets
    monkeypatch.setattr(Prefill, "_offsets", lambda *given: [0 * offset for offset in right(*given)])


def test_positions_that_count_tokens_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the class is believed the text is another one; else the trial refuses it."""
    given = inputs(AXES, target(AXES), before=20, after=40)
    expected = said(AXES, given)
    counted(monkeypatch)
    monkeypatch.setattr("anydraft.models.prefill.PICTURES", frozenset({type(target(AXES)).__name__}))
    assert said(AXES, given, custom_generate=custom(AXES)) != expected
    monkeypatch.setattr("anydraft.models.prefill.PICTURES", frozenset())
    monkeypatch.setattr("anydraft.models.faithful._verdicts", {})
    with pytest.raises(anydraft.ModelError, match="several tokens behind them"):
        said(AXES, given, custom_generate=custom(AXES))


def test_what_is_believed_is_what_is_tested() -> None:
    assert {type(target(name)).__name__ for name in FAMILIES} == PICTURES


@pytest.mark.parametrize("name", FAMILIES)
def test_the_trial_agrees(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anydraft.models.prefill.PICTURES", frozenset())
    given = inputs(name, target(name))
    assert said(name, given, custom_generate=custom(name)) == said(name, given)


def law(given: dict[str, Tensor], length: int) -> dict[tuple[int, ...], float]:
    """The target's law of the first tokens, from passes over the whole text without a cache."""
    cut = LogitsProcessorList([SuppressTokensLogitsProcessor([PLACEHOLDER]), TopKLogitsWarper(3)])
    found: dict[tuple[int, ...], float] = {(): 1.0}
    for _ in range(length):
        longer: dict[tuple[int, ...], float] = {}
        for tokens, chance in found.items():
            more = torch.tensor([tokens], dtype=torch.int64)
            text = {
                "input_ids": torch.cat((given["input_ids"], more), 1),
                "mm_token_type_ids": torch.cat((given["mm_token_type_ids"], 0 * more), 1),
            }
            with torch.no_grad():
                logits = target(AXES)(**{**given, **text, "attention_mask": None}).logits[:, -1]
            shares = cut(text["input_ids"], logits)[0].double().softmax(0)
            longer |= {(*tokens, int(i)): chance * float(shares[i]) for i in shares.nonzero()}
        found = longer
    return found


def test_the_law_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """By walking every outcome of chance; float32 leaves 1e-5 of total variation."""
    given = inputs(AXES, target(AXES))
    ours = custom(AXES, num_draft_tokens=2)
    options: Any = {
        "do_sample": True,
        "suppress_tokens": [PLACEHOLDER],
        "top_k": 3,
        "repetition_penalty": 1.0,
        "top_p": 1.0,
        "temperature": 1.0,
        "max_new_tokens": 2,
    }

    def run(oracle: EnumeratingRandomness) -> tuple[int, ...]:
        monkeypatch.setattr(
            "anydraft.integrations.transformers.method.SeededRandomness", lambda *_, **__: oracle
        )
        return tuple(said(AXES, given, custom_generate=ours, **options)[0])

    found: dict[tuple[int, ...], float] = defaultdict(float)
    for oracle, tokens in branches(run):
        found[tokens] += oracle.probability
    expected = law(given, 2)
    off = 0.5 * sum(abs(found.get(key, 0) - expected.get(key, 0)) for key in {*found, *expected})
    assert len(expected) == 9
    assert off < 1e-5


def test_a_cache_cut_into_the_prompt_reads_all_of_it_again() -> None:
    ids, prefill, _ = prefill_of(target(AXES), inputs(AXES, target(AXES)))
    model = TransformersModel(target(AXES))
    model.prefill = prefill
    text = torch.tensor([*ids, 5, 6, 7])
    expected = model.advance(text, 4)
    model.crop(len(ids) + 1)
    assert model.length == len(ids) + 1
    torch.testing.assert_close(model.advance(text[-2:], 2), expected[-2:])
    model.crop(len(ids) - 1)
    assert model.length == 0
    torch.testing.assert_close(model.advance(text, 4), expected)
    model.crop(0)
    with pytest.raises(anydraft.ArgumentError, match="all of its ids"):
        model.advance(text[:5])


def test_after_a_pass_that_raises_the_prompt_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, prefill, _ = prefill_of(target(AXES), inputs(AXES, target(AXES)))
    model = TransformersModel(target(AXES))
    model.prefill = prefill
    expected = model.advance(torch.tensor(ids))
    with monkeypatch.context() as patched:
        patched.setattr(model, "read", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.advance(torch.tensor([5]))
    assert model.length == 0
    torch.testing.assert_close(model.advance(torch.tensor(ids)), expected)
