"""What others' users reported of assisted decoding with different tokenizers: it stays right here."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from transformers import DynamicCache, PreTrainedTokenizerFast

import anydraft
import small
import tiny
import trained
import watching
from anydraft.proposers.registry import Method

METHODS: list[Method] = ["tli", "slem", "pushforward", "slrs"]
TEXT = "The quick brown"


def ids(tokenizer: Any, text: str = TEXT) -> torch.Tensor:
    return torch.tensor([tokenizer(text)["input_ids"]])


def assert_same(target: Any, custom: Any, prompt: torch.Tensor, n: int = 20, **options: Any) -> None:
    """Greedy output with the draft is the target's own."""
    plain = target.generate(prompt, max_new_tokens=n, do_sample=False, **options)
    drafted = target.generate(prompt, max_new_tokens=n, do_sample=False, **options, custom_generate=custom)
    assert drafted.tolist() == plain.tolist()


def speculator(method: Method = "auto", *, swap: bool = False, **options: Any) -> anydraft.Speculator:
    return anydraft.Speculator(*trained.pair(swap=swap), method=method, num_draft_tokens=5, **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sample", [False, True])
def test_padded_vocabularies(method: Method, sample: bool) -> None:
    """#45307: logits wider than the tokenizer. Padded draft tokens are never drawn, whatever their logits."""
    target, draft = (copy.deepcopy(model) for model in trained.pair()[:2])
    tokenizers = trained.pair()[2:]
    for model in (target, draft):
        model.resize_token_embeddings(64 + model.config.vocab_size)
    head = draft.get_output_embeddings()
    head.weight.data[len(tokenizers[1]) :] = 50 * head.weight.data.abs().mean()
    custom = anydraft.custom_generate(draft, *tokenizers, method=method, num_draft_tokens=5)
    if not sample:
        return assert_same(target, custom, ids(tokenizers[0]))
    out = target.generate(
        ids(tokenizers[0]), max_new_tokens=20, do_sample=True, custom_generate=custom, seed=0
    )
    assert out.shape[1] > ids(tokenizers[0]).shape[1]
    assert custom.stats[0].drafted > 0
    return None


@pytest.mark.parametrize("rows", [1, 2])
def test_positions_are_never_stale(rows: int) -> None:
    """After rejections every token is fed at its own position, to both models, padded or not."""
    target, draft, tokenizer, draft_tokenizer = (copy.deepcopy(part) for part in trained.pair())
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    batch = tokenizer([TEXT, "12345"][:rows], return_tensors="pt", padding=True)
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    plain = target.generate(**inputs, max_new_tokens=24, do_sample=False)
    with watching.fed(target) as by_target, watching.fed(draft) as by_draft:
        custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
        out = target.generate(**inputs, max_new_tokens=24, do_sample=False, custom_generate=custom)
    assert out.tolist() == plain.tolist()
    assert sum(s.proposed - s.accepted for s in custom.stats) > 0  # there were rejections
    for seen in (by_target, by_draft):
        for positions in seen.positions:
            assert positions is not None
            started = [p for p in positions if p > 0] or positions[-1:]
            for i, position in enumerate(started[1:], 1):  # of a tree, one behind a token before it
                assert started[0] < position <= max(started[:i]) + 1


def test_position_ids_of_the_caller() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    prompt = ids(tokenizer)
    options = {"max_new_tokens": 12, "do_sample": False}
    plain = target.generate(prompt, **options)
    places = torch.arange(prompt.shape[1])[None]
    out = target.generate(prompt, position_ids=places, **options, custom_generate=custom)
    assert out.tolist() == plain.tolist()
    with pytest.raises(anydraft.ArgumentError, match="position_ids of your own"):
        target.generate(prompt, position_ids=places + 3, **options, custom_generate=custom)


def test_a_bos_is_not_added_again_and_again() -> None:
    """Text is re-tokenised every round; the beginning of the draft's view is the only place for its BOS."""
    target, draft, tokenizer, draft_tokenizer = trained.pair(swap=True)
    draft = copy.deepcopy(draft)
    with watching.fed(draft) as seen:
        custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=8)
        target.generate(ids(tokenizer), max_new_tokens=24, do_sample=False, custom_generate=custom)
    fed = [token for part in seen.ids for token in part]
    assert fed[0] == draft_tokenizer.bos_token_id
    assert fed.count(draft_tokenizer.bos_token_id) == 1
    assert custom.stats[0].draft_passes == len(seen.ids) > 8


def test_the_draft_is_compared_by_the_law_it_was_drawn_from() -> None:
    """#47932: draws from the processed draft, compared with its raw law. See also the enumerations."""
    from test_integrations_sampling import CUT, ENDLESS, alone, custom, distance, emitted, world

    inputs = world().inputs()
    with pytest.MonkeyPatch.context() as patch:
        found = emitted(
            patch, custom("tli", num_draft_tokens=1), inputs, max_new_tokens=1, top_p=0.6, **ENDLESS
        )
    assert CUT["top_k"] == 3
    law = alone(inputs, 0, 1)
    kept: dict[tuple[int, ...], float] = {}
    for tokens, p in sorted(law.items(), key=lambda item: -item[1]):
        if sum(kept.values()) < 0.6:
            kept[tokens] = p
    whole = sum(kept.values())
    assert len(kept) < len(law)
    assert distance({rows[0]: p for rows, p in found.items()}, {t: p / whole for t, p in kept.items()}) < 1e-5


@pytest.mark.parametrize("sample", [False, True])
def test_the_draft_is_as_good_as_before(sample: bool) -> None:
    """Weights, head, embeddings, configs, hooks: after use the draft generates as it did."""
    target, draft, tokenizer, draft_tokenizer = (copy.deepcopy(part) for part in trained.pair())
    before = {name: value.clone() for name, value in draft.state_dict().items()}
    names, config = set(vars(draft)), draft.generation_config.to_dict()
    prompt = ids(draft_tokenizer)
    said = draft.generate(prompt, max_new_tokens=12, do_sample=False, repetition_penalty=1.2)
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer)
    target.generate(ids(tokenizer), max_new_tokens=12, do_sample=sample, custom_generate=custom)
    after = draft.generate(prompt, max_new_tokens=12, do_sample=False, repetition_penalty=1.2)
    assert after.tolist() == said.tolist()
    assert list(draft.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in draft.state_dict().items())
    assert (set(vars(draft)), draft.generation_config.to_dict()) == (names, config)
    assert draft.get_output_embeddings() is draft.lm_head
    assert type(draft.lm_head) is torch.nn.Linear


def test_two_drafts_with_one_tokenizer() -> None:
    """Tables belong to tokenizers, heads to models: drafts of different widths and qualities take turns."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    other = tiny.llama(len(draft_tokenizer) + 40, seed=9)
    customs = [
        anydraft.custom_generate(model, tokenizer, draft_tokenizer, num_draft_tokens=5)
        for model in (draft, other)
    ]
    rates = []
    for _ in range(2):
        for custom in customs:
            assert_same(target, custom, ids(tokenizer, "Ça va"))
            rates.append(custom.stats[0].acceptance_rate)
    assert rates[:2] == rates[2:]
    assert rates[0] > rates[1]


def extended() -> PreTrainedTokenizerFast:
    """The byte-level tokenizer with ten more tokens after its own."""
    backend = Tokenizer.from_str(small.byte_level().backend_tokenizer.to_str())
    backend.add_tokens([AddedToken(f"extra{i}", normalized=False) for i in range(10)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("inner", ["draft", "target"])
def test_a_vocabulary_inside_the_other(method: Method, inner: str) -> None:
    """Equal but for tokens that only one of them has: nothing crashes, and nearly everything is shared."""
    sizes = [small.byte_level(), extended()]
    tokenizer, draft_tokenizer = sizes[::-1] if inner == "draft" else sizes
    target, draft = (trained.model(t, steps=80, seed=i) for i, t in enumerate((tokenizer, draft_tokenizer)))
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, method=method, num_draft_tokens=5)
    assert_same(target, custom, ids(tokenizer))
    assert custom.stats[0].acceptance_rate > 0.3
    shared = anydraft.Bridge(tokenizer, draft_tokenizer).coverage().shared
    assert shared >= len(small.byte_level()) - 2


def shuffled() -> PreTrainedTokenizerFast:
    """The byte-level tokenizer with every id moved: as many tokens, other numbers."""
    parts = json.loads(small.byte_level().backend_tokenizer.to_str())
    size = len(parts["model"]["vocab"])
    parts["model"]["vocab"] = {
        token: (i if i < 2 else 2 + (i - 2 + 100) % (size - 2))
        for token, i in parts["model"]["vocab"].items()
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(parts)), eos_token="<|endoftext|>"
    )


@pytest.mark.parametrize("method", METHODS)
def test_equal_sizes_with_different_tokenizers(method: Method) -> None:
    """The number of tokens says nothing: ids mean what their bytes say."""
    tokenizer, draft_tokenizer = small.byte_level(), shuffled()
    assert len(tokenizer) == len(draft_tokenizer)
    assert tokenizer("The")["input_ids"] != draft_tokenizer("The")["input_ids"]
    target, draft = (trained.model(t, steps=80, seed=i) for i, t in enumerate((tokenizer, draft_tokenizer)))
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, method=method, num_draft_tokens=5)
    assert_same(target, custom, ids(tokenizer))
    assert custom.stats[0].acceptance_rate > 0.3


@pytest.mark.parametrize("method", METHODS)
def test_an_end_token_in_the_context_of_the_draft(method: Method) -> None:
    """A prompt of several documents: an end in the middle is context, and ends nothing."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    end = tokenizer.eos_token_id
    prompt = torch.cat(
        (ids(tokenizer), torch.tensor([[end]]), ids(tokenizer, "Ça va"), torch.tensor([[end]])), 1
    )
    prompt = torch.cat((prompt, ids(tokenizer, "Ça va")), 1)
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, method=method, num_draft_tokens=5)
    mask = {"attention_mask": torch.ones_like(prompt), "eos_token_id": 325}
    assert_same(target, custom, prompt, 24, **mask)
    assert custom.stats[0].tokens == 24
    assert custom.stats[0].drafted >= 24 // 6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("swap", [False, True])
def test_nothing_that_was_rejected_is_left_with_the_draft(
    method: Method, temperature: float, swap: bool
) -> None:
    """After every round the draft's ids are those of a fresh encoding, and its cache is a fresh prefill's."""
    pair, (target, draft, *_) = speculator(method, swap=swap), trained.pair(swap=swap)
    row = watching.row(pair, TEXT, temperature=temperature)
    rejected = 0
    for _ in watching.rounds(row):
        assert row.draft is not None
        rejected = row.stats.proposed - row.stats.accepted
        committed = row.committed.ids.tolist()
        fresh = pair.bridge.session(*pair.engine.plain_prompt(committed)[1:]).view()
        assert row.draft.ids == fresh
        held = row.draft.length
        assert held <= len(fresh)
        expected = watching.prefilled(draft, fresh[:held])
        for got, wanted in zip(watching.keys_and_values(row.draft.model, held), expected, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
        own = watching.prefilled(target, committed[: row.target.length])
        for got, wanted in zip(watching.keys_and_values(row.target, row.target.length), own, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)
    assert rejected > 0


def test_the_chat_template_is_not_lost() -> None:
    """The draft reads the chat in its own template, with its own control tokens."""
    target, draft, tokenizer, draft_tokenizer = (copy.deepcopy(part) for part in trained.pair())
    tokenizer.chat_template = "<bos>{% for m in messages %}U: {{ m.content }}\n{% endfor %}A:"
    draft_tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    messages = [{"role": "user", "content": "The quick"}]
    inputs = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)
    options = {"input_ids": inputs["input_ids"], "max_new_tokens": 12, "do_sample": False}
    plain = target.generate(**options)
    with watching.fed(draft) as seen:
        custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=4)
        out = target.generate(**options, custom_generate=custom, messages=messages)
    assert out.tolist() == plain.tolist()
    opening = draft_tokenizer.apply_chat_template(messages, return_dict=False)
    assert draft_tokenizer.convert_tokens_to_ids("<|im_end|>") in opening
    assert seen.ids[0][: len(opening)] == opening


def test_the_cache_that_is_returned_can_be_continued() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    prompt = ids(tokenizer)
    whole = target.generate(prompt, max_new_tokens=24, do_sample=False)
    first = target.generate(
        prompt, max_new_tokens=12, do_sample=False, return_dict_in_generate=True, custom_generate=custom
    )
    assert isinstance(first.past_key_values, DynamicCache)
    for options in ({}, {"custom_generate": custom}):
        rest = target.generate(
            first.sequences,
            past_key_values=copy.deepcopy(first.past_key_values),
            max_new_tokens=12,
            do_sample=False,
            **options,
        )
        assert rest.tolist() == whole.tolist()
