"""Laws of several next tokens from one pass: which masks are read, and that the cache forgets them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import anydraft
import stateful
import tiny
import trained
import watching
from anydraft.errors import ModelError
from anydraft.models.ahead import ahead_by, look_ahead
from anydraft.models.batch import sequences
from anydraft.models.fast.runner import FastPasses
from anydraft.models.loaded import masks_of
from anydraft.models.row import TransformersRow
from anydraft.models.transformers import TransformersModel
from anydraft.proposers.masks import check_masks
from anydraft.proposers.registry import Method

METHODS: list[Method] = ["slem", "tli", "pushforward", "slrs"]
PROMPT = "The quick brown"


def seeing(model: Any, masks: object) -> Any:
    made = copy.deepcopy(model)
    made.config.anydraft_masks = masks
    return made


def looking(masks: object = (94, 95, 96)) -> Any:
    return seeing(tiny.llama(), list(masks) if isinstance(masks, tuple) else masks)


def close(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted, atol=5e-5, rtol=0)


@pytest.mark.parametrize(
    "wrong",
    [[97], [-1], [1.5], [True], ["a"], "94", {"id": 94}, 94, 0, False, "", {}, [94] * 64, [-1] * 10**5],
)
def test_an_entry_that_lists_no_tokens_is_refused(wrong: object) -> None:
    with pytest.raises(ModelError, match=r"anydraft_masks.*ids from 0 to 96") as caught:
        masks_of(looking(wrong))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("none", [None, []])
def test_without_an_entry_a_model_goes_token_by_token(none: object) -> None:
    assert masks_of(tiny.llama()) == []
    assert masks_of(looking(none)) == []
    assert len(ahead_by(TransformersModel(looking(none)))) == 0


@pytest.mark.parametrize("masks", [(94, 95, 96), (96, 96, 96)])
@pytest.mark.parametrize("passes", [FastPasses(), FastPasses(weights="model")], ids=["lean", "own"])
def test_rows_are_those_of_the_masks_and_the_cache_is_that_of_the_text(
    passes: FastPasses, masks: tuple[int, ...]
) -> None:
    model, ids = looking(masks), tiny.ids(20, 90)
    ours = TransformersModel(model, passes)
    assert ours.masks.tolist() == list(masks)
    for start, end in [(0, 12), (12, 13), (13, 20)]:
        (found,) = look_ahead([ours], [ids[start:end]], [ours.masks])
        assert ours.length == end
        with torch.no_grad():
            whole = model(input_ids=torch.cat((ids[:end], ours.masks))[None], use_cache=False).logits[0]
        close(found, whole[end - 1 :])
        for got, wanted in zip(
            watching.keys_and_values(ours, end), watching.prefilled(model, ids[:end].tolist()), strict=True
        ):
            close(got, wanted)


def test_rows_of_a_batch_see_as_far_as_each_is_asked_to() -> None:
    model, ids = looking(), tiny.ids(20, 90)
    rows = sequences(model, 3)
    assert all(isinstance(row, TransformersRow) for row in rows)
    texts = [ids[:9], ids[:4], ids[3:11]]
    masks = [ahead_by(rows[0]), ahead_by(rows[1])[:1], ahead_by(rows[2])[:0]]
    found = look_ahead(rows, texts, masks)
    for row, text, own, got in zip(rows, texts, masks, found, strict=True):
        assert row.length == len(text)
        (alone,) = look_ahead([TransformersModel(model)], [text], [own])
        close(got, alone)


def test_models_that_cannot_forget_masks_alone_do_not_read_them() -> None:
    growing = tiny.llama(rope_scaling={"rope_type": "dynamic", "factor": 2.0})  # in both versions
    keeping = stateful.made("qwen3_next")
    for model in (growing, keeping):
        model.config.get_text_config(decoder=True).anydraft_masks = [3, 4]
        assert len(ahead_by(TransformersModel(model))) == 0


def pair(masks: int = 3, **options: Any) -> anydraft.Speculator:
    """A trained pair; the draft's masks are rows behind its tokenizer's, whose logits are the highest."""
    target, draft, *tokenizers = trained.pair()
    draft = copy.deepcopy(draft)
    width = len(tokenizers[1])
    draft.get_output_embeddings().weight.data[width:] *= 50
    draft.config.anydraft_masks = list(range(width, width + masks))
    options = {"num_draft_tokens": 4, **options}
    return anydraft.Speculator(target, draft, *tokenizers, **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_masks_are_in_no_block_no_view_and_no_cache(method: Method, temperature: float) -> None:
    made = pair(method=method)
    draft, width = made.engine.models[1], len(made.engine.tokenizers[1])  # type: ignore[arg-type]
    row = watching.row(made, PROMPT, temperature=temperature)
    for _ in watching.rounds(row):
        assert row.draft is not None
        assert max(row.draft.ids) < width
        held = row.draft.length
        for got, wanted in zip(
            watching.keys_and_values(row.draft.model, held),
            watching.prefilled(draft, row.draft.ids[:held]),
            strict=True,
        ):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
    assert row.stats.proposed > row.stats.accepted
    assert row.stats.draft_passes <= row.stats.target_passes < row.stats.drafted


def test_masks_that_are_left_in_the_cache_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(models: Any, ids: Any, masks: Any) -> list[Tensor]:
        fed = [torch.cat(both) for both in zip(ids, masks, strict=True)]
        return [m.advance(own, 1 + len(k)) for m, own, k in zip(models, fed, masks, strict=True)]

    monkeypatch.setattr("anydraft.proposers.draw.look_ahead", forgetful)
    with pytest.raises(AssertionError, match="close"):
        test_masks_are_in_no_block_no_view_and_no_cache("slem", 0.0)


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("length", [1, 3, 4, 9, "auto"])
def test_greedy_output_is_the_targets_own(method: Method, length: Any) -> None:
    made = pair(method=method, num_draft_tokens=length)
    target, tokenizer = made.engine.models[0], made.engine.tokenizers[0]
    prompt = torch.tensor([tokenizer(PROMPT)["input_ids"]])  # type: ignore[operator]
    alone = target.generate(prompt, max_new_tokens=24, do_sample=False)[0, prompt.shape[1] :].tolist()  # type: ignore[union-attr, operator]
    said = made.generate(PROMPT, max_new_tokens=24)
    assert said.token_ids == alone[: len(said.token_ids)]
    assert said.token_ids


def test_rows_of_a_batch_draft_from_one_pass_and_say_what_plain_generate_says() -> None:
    """Each row draws four tokens from the pass that all of them share."""
    made = pair()
    (target, draft), (tokenizer, draft_tokenizer) = made.engine.models, copy.deepcopy(made.engine.tokenizers)
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"  # type: ignore[union-attr]
    batch = tokenizer([PROMPT, "def fib(n):\n    ", "12345 "], return_tensors="pt", padding=True)  # type: ignore[operator]
    given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "max_new_tokens": 20}
    plain = target.generate(**given, do_sample=False)  # type: ignore[union-attr, operator]
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, method="slem", num_draft_tokens=4)  # type: ignore[arg-type]
    out = target.generate(**given, do_sample=False, custom_generate=custom)  # type: ignore[union-attr, operator]
    assert out.tolist() == plain.tolist()
    for stats in custom.stats:
        assert 0 < stats.draft_passes <= stats.target_passes < stats.drafted


def test_longer_blocks_take_as_many_passes_as_they_must() -> None:
    for length, masks, passes in [(4, 3, 1), (5, 3, 2), (8, 3, 2), (9, 3, 3), (4, 1, 2), (4, 0, 4)]:
        made = pair(masks, method="tli", num_draft_tokens=length)
        row = watching.row(made, PROMPT, length=40)
        next(watching.rounds(row))
        assert (row.stats.drafted, row.stats.draft_passes) == (length, passes)


def test_masks_that_could_be_drafted_are_refused() -> None:
    target, draft, *tokenizers = trained.pair()
    with pytest.raises(ModelError, match=r"anydraft_masks of tokens \[65\], which stand for text"):
        anydraft.Speculator(target, seeing(draft, [65, len(tokenizers[1])]), *tokenizers)
    with pytest.raises(ModelError, match="expected a list of ids"):
        anydraft.Speculator(target, seeing(draft, [10**6]), *tokenizers)
    bridge = anydraft.Bridge(*tokenizers)
    check_masks([len(tokenizers[1])] * 3, bridge)
    with pytest.raises(ModelError, match=r"of tokens \[65\]"):  # what the proposer of vLLM asks
        check_masks([65, len(tokenizers[1])], bridge)
    mistaken = seeing(target, [65])  # a target is not asked
    assert anydraft.Speculator(mistaken, draft, *tokenizers).generate(PROMPT, max_new_tokens=4).token_ids


def test_what_is_measured_of_a_draft_says_how_far_it_sees() -> None:
    sees, goes = pair().engine.identity["draft"], pair(0).engine.identity["draft"]
    assert sees == f"{goes}, 4 ahead"
