"""The situations of transformers' own tests for assisted generation with different tokenizers.

Theirs test the parts (candidate generators, translators, caches of translators); here each is a test of what
a user sees.
"""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import anydraft
import small
import tiny
import trained
from anydraft.proposers.registry import Method

METHODS: list[Method] = ["tli", "slem", "pushforward", "slrs"]


def letters(alphabet: str) -> PreTrainedTokenizerFast:
    """A tokenizer of these letters and nothing else."""
    vocabulary = {"<eos>": 0, **{letter: i + 1 for i, letter in enumerate(alphabet)}}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


def prompt(tokenizer: Any, text: str) -> torch.Tensor:
    return torch.tensor([tokenizer(text)["input_ids"]])


def custom(*parts: Any, method: Method = "auto", num_draft_tokens: Any = 5) -> Any:
    return anydraft.custom_generate(*parts, method=method, num_draft_tokens=num_draft_tokens)


def check(target: Any, made: Any, ids: torch.Tensor, **options: Any) -> None:
    """Greedy output is the target's own."""
    call = {"max_new_tokens": 16, "do_sample": False, **options}
    assert (
        target.generate(ids, **call, custom_generate=made).tolist() == target.generate(ids, **call).tolist()
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_same_tokens(method: Method) -> None:
    """One tokenizer on both sides, one model on both sides: everything is accepted."""
    target, _, tokenizer, _ = trained.pair()
    made = custom(target, tokenizer, tokenizer, method=method, num_draft_tokens=4)
    check(target, made, prompt(tokenizer, "12345 67"), max_new_tokens=15, eos_token_id=325)
    assert made.stats[0].acceptance_rate > 0.9
    assert made.stats[0].target_passes <= 5


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_disjoint_vocabularies(method: Method, sample: bool) -> None:
    """No text of the one can be written in the other: the target goes on alone."""
    tokenizer, draft_tokenizer = letters("abcdef"), letters("0123456")
    target, draft = small.model(tokenizer), small.model(draft_tokenizer, seed=1)
    made = custom(draft, tokenizer, draft_tokenizer, method=method)
    ids = prompt(tokenizer, "abcdd")
    if not sample:
        check(target, made, ids)
    out = target.generate(ids, do_sample=sample, max_new_tokens=9, min_new_tokens=9, custom_generate=made)
    assert out.shape == (1, ids.shape[1] + 9)
    assert made.stats[0].accepted == 0


@pytest.mark.parametrize("method", METHODS)
def test_vocabularies_with_few_tokens_in_common(method: Method) -> None:
    """Unmapped tokens on both sides, in the prompt and in the proposals."""
    tokenizer, draft_tokenizer = letters("abcdef"), letters("efghi")
    target, draft = small.model(tokenizer), small.model(draft_tokenizer, seed=1)
    made = custom(draft, tokenizer, draft_tokenizer, method=method)
    for text in ("abcef", "ffee", "abc"):
        check(target, made, prompt(tokenizer, text), eos_token_id=11)


def test_the_known_tokens_are_those_with_equal_bytes() -> None:
    bridge = anydraft.Bridge(letters("abcdef"), letters("efghi"))
    assert bridge.coverage().shared == 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", ["", "T", "\n", "語"])
def test_prompts_of_one_token(method: Method, text: str) -> None:
    """The shortest prompts, among them a BOS alone and a byte of a character."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    ids = prompt(tokenizer, text)[:, -1:]
    check(target, custom(draft, tokenizer, draft_tokenizer, method=method), ids)


def test_no_prompt_at_all() -> None:
    """``generate()`` begins with the BOS of the generation config."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    made = custom(draft, tokenizer, draft_tokenizer)
    options = {"max_new_tokens": 9, "do_sample": False}
    assert target.generate(**options, custom_generate=made).tolist() == target.generate(**options).tolist()


def test_repeated_calls_with_one_draft() -> None:
    """Nothing is left over from one call to the next, greedy or sampled, long or short."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    made = custom(draft, tokenizer, draft_tokenizer)
    for text in ("The quick", "12345", "The quick", "def fib(n):\n    "):
        ids = prompt(tokenizer, text)
        check(target, made, ids)
        target.generate(ids, do_sample=True, max_new_tokens=5, custom_generate=made)
        check(target, made, ids, max_new_tokens=30)


def test_a_call_after_one_that_failed() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    made = custom(draft, tokenizer, draft_tokenizer)
    ids = prompt(tokenizer, "The quick")
    with pytest.raises(anydraft.AnydraftError):
        target.generate(ids, max_new_tokens=5, num_beams=2, custom_generate=made)
    with pytest.raises(ZeroDivisionError):
        target.generate(ids, stopping_criteria=[lambda *_, **__: 1 // 0], custom_generate=made)
    check(target, made, ids)


def test_two_targets_share_a_draft() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    other = trained.model(tokenizer, steps=20, seed=7)
    made = custom(draft, tokenizer, draft_tokenizer)
    for _ in range(2):
        for model in (target, other):
            check(model, made, prompt(tokenizer, "Ça va"))


def test_two_targets_with_other_tokenizers_share_a_draft() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    third = letters("abcdefThqnuik")
    other = small.model(third)
    makers = [(target, tokenizer), (other, third)] * 2
    customs = {id(t): custom(draft, t, draft_tokenizer) for _, t in makers}
    for model, own in makers:
        check(model, customs[id(own)], prompt(own, "Theqnuick"))


def test_a_model_drafts_for_itself_and_for_its_draft() -> None:
    """Target and draft may change places."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    there, back = custom(draft, tokenizer, draft_tokenizer), custom(target, draft_tokenizer, tokenizer)
    check(target, there, prompt(tokenizer, "Ça va"))
    check(draft, back, prompt(draft_tokenizer, "Ça va"))
    check(target, there, prompt(tokenizer, "12345"))


def test_nothing_outlives_the_models() -> None:
    """A library keeps its translators for good; here everything goes with its owner."""
    tokenizer, draft_tokenizer = small.byte_fallback(), small.byte_level()
    target, draft = small.model(tokenizer), small.model(draft_tokenizer, seed=1)
    made = custom(draft, tokenizer, draft_tokenizer)
    check(target, made, prompt(tokenizer, "The"))
    references = [weakref.ref(part) for part in (target, draft, made)]
    del target, draft, made
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_the_number_of_draft_tokens_is_the_one_asked_for() -> None:
    """It is not read from the draft's generation config, which says how it generates by itself."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    draft = copy.deepcopy(draft)
    draft.generation_config.num_assistant_tokens = 17
    draft.generation_config.max_length = 3
    made = custom(draft, tokenizer, draft_tokenizer, num_draft_tokens=2, method="tli")
    check(target, made, prompt(tokenizer, "The quick"))
    stats = made.stats[0]
    assert 0 < stats.proposed <= 2 * stats.target_passes


def test_the_settings_of_the_draft_do_not_matter() -> None:
    """Its end token, its sampling values, its penalties: they are those of its own generations."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    draft = copy.deepcopy(draft)
    draft.generation_config.eos_token_id = list(range(2, 200))
    draft.generation_config.repetition_penalty = 9.0
    draft.generation_config.do_sample, draft.generation_config.temperature = True, 5.0
    made = custom(draft, tokenizer, draft_tokenizer)
    check(target, made, prompt(tokenizer, "Ça va"))
    assert made.stats[0].accepted > 0


def test_it_equals_sampling_without_a_draft_where_chance_has_no_say() -> None:
    """top_k=1 leaves one token: sampling is greedy."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    ids = prompt(tokenizer, "Ça va")
    made = custom(draft, tokenizer, draft_tokenizer)
    sampled = target.generate(ids, do_sample=True, top_k=1, max_new_tokens=20, custom_generate=made)
    assert sampled.tolist() == target.generate(ids, do_sample=False, max_new_tokens=20).tolist()


@pytest.mark.parametrize("wide", ["target", "draft"])
def test_models_of_different_kinds_and_sizes(wide: str) -> None:
    """Sliding windows on one side, none on the other; far beyond the window."""
    tokenizer, draft_tokenizer = small.byte_fallback(), small.byte_level()
    kinds = (tiny.llama, tiny.gemma3) if wide == "target" else (tiny.gemma3, tiny.llama)
    target, draft = kinds[0](len(tokenizer)), kinds[1](len(draft_tokenizer), seed=1)
    made = custom(draft, tokenizer, draft_tokenizer)
    check(
        target, made, prompt(tokenizer, "The quick brown fox jumps over"), max_new_tokens=40, eos_token_id=0
    )


@pytest.mark.parametrize("dtypes", [(torch.float64, torch.float32), (torch.float32, torch.bfloat16)])
def test_number_formats_may_differ(dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    target, draft = copy.deepcopy(target).to(dtypes[0]), copy.deepcopy(draft).to(dtypes[1])
    check(target, custom(draft, tokenizer, draft_tokenizer), prompt(tokenizer, "Ça va"))


def test_a_draft_with_a_short_window_reads_a_suffix() -> None:
    target, _, tokenizer, draft_tokenizer = trained.pair()
    draft = trained.model(draft_tokenizer, steps=10)
    draft.config.max_position_embeddings = 24
    made = custom(draft, tokenizer, draft_tokenizer)
    check(target, made, prompt(tokenizer, small.TEXT[:200]), max_new_tokens=30)
    assert made.stats[0].drafted > 0


def test_a_draft_that_breaks_is_dropped_with_a_warning() -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    draft = copy.deepcopy(draft)
    draft.lm_head.weight.data[:] = torch.nan
    made = custom(draft, tokenizer, draft_tokenizer)
    with pytest.warns(UserWarning, match="the target went on alone"):
        check(target, made, prompt(tokenizer, "Ça va"))


def test_only_the_options_that_are_new_are_new() -> None:
    """A typing mistake among the arguments is reported as plain generate reports it."""
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    made = custom(draft, tokenizer, draft_tokenizer)
    with pytest.raises(ValueError, match="max_new_tokns"):
        target.generate(prompt(tokenizer, "x"), max_new_tokns=3, custom_generate=made)


@pytest.mark.parametrize("num_draft_tokens", ["auto", 1, 3, 40])
def test_any_number_of_draft_tokens(num_draft_tokens: Any) -> None:
    target, draft, tokenizer, draft_tokenizer = trained.pair()
    made = custom(draft, tokenizer, draft_tokenizer, num_draft_tokens=num_draft_tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for text in ("Ça va", "The quick", "12345 67"):
            check(target, made, prompt(tokenizer, text), max_new_tokens=25)
