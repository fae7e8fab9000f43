"""Models with fewer rows than their tokenizer has ids: Gemma-3's text models, and embeddings never resized.

The added tokens beyond them can neither be read nor said; everything else works as without them.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import anydraft
import small
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.doctor import Subject, examine
from anydraft.doctor.model_facts import ModelFacts
from anydraft.errors import ArgumentError, PairError
from anydraft.integrations.vllm.proposer import Proposer
from anydraft.integrations.vllm.turns import opening_of
from test_vllm_drafter import config

METHODS = ["auto", "tli", "slem", "pushforward", "slrs", "lookup"]
SOFT, WORD = "<image_soft_token>", "The quick"
"""A control token, and a word that a tokenizer was given later."""


def larger(tokenizer: Any) -> Any:
    made = copy.deepcopy(tokenizer)
    made.add_special_tokens({"additional_special_tokens": [SOFT]})
    made.add_tokens([WORD])
    return made


def pair(role: str) -> tuple[Any, Any, Any, Any]:
    """Models with a row for each token of the tokenizers as they were, one of which has more now."""
    tokenizers = small.byte_fallback(), small.byte_level()
    models = [small.model(t, seed=i, padding=0) for i, t in enumerate(tokenizers)]
    target, draft = (
        larger(t) if role in ("both", who) else t
        for t, who in zip(tokenizers, ("target", "draft"), strict=True)
    )
    return *models, target, draft


@pytest.mark.parametrize("role", ["target", "draft", "both"])
@pytest.mark.parametrize("method", METHODS)
def test_the_text_is_the_targets_own(role: str, method: Any) -> None:
    target, draft, *tokenizers = pair(role)
    joined = small.join((target, draft, *tokenizers), method=method)
    ids = small.byte_fallback()("A quick brown", return_tensors="pt").input_ids
    plain = target.generate(ids, max_new_tokens=24, do_sample=False)[0, ids.shape[1] :].tolist()
    out = joined.generate("A quick brown", max_new_tokens=24)
    assert (out.token_ids, out.draft_failure) == (plain, None)
    assert method == "lookup" or out.stats.drafted > 0
    sample = joined.generate("A quick brown", max_new_tokens=24, temperature=1.0, seed=1)
    assert max(sample.token_ids) < target.config.vocab_size


def test_it_drafts_what_it_drafts_without_them() -> None:
    options: dict[str, Any] = {"method": "slem", "num_draft_tokens": 4, "memory": "off"}
    found = []
    for role in ("both", "neither"):
        target, _, *tokenizers = pair(role)
        own = anydraft.Speculator(target, target, tokenizers[0], tokenizers[0], **options)
        out = own.generate("Un été à Paris", max_new_tokens=24)
        found.append((out.token_ids, out.stats.drafted, out.stats.accepted))
    assert found[0] == found[1]
    assert found[0][2] > 5


@pytest.mark.parametrize("text", [f"A {SOFT} b", WORD])
def test_a_prompt_with_such_a_token_is_refused(text: str) -> None:
    joined = small.join(pair("target"))
    with pytest.raises(ArgumentError, match="has no row"):
        joined.generate(text, max_new_tokens=4)
    with pytest.raises(ArgumentError, match="input_ids"):
        joined.generate(input_ids=[5, len(small.byte_fallback())], max_new_tokens=4)


def test_in_generate_of_transformers() -> None:
    target, draft, *tokenizers = pair("both")
    ids = tokenizers[0]("A quick brown", return_tensors="pt").input_ids
    given: dict[str, Any] = {"max_new_tokens": 16, "do_sample": False}
    ours = target.generate(ids, **given, custom_generate=anydraft.custom_generate(draft, *tokenizers))
    assert ours.tolist() == target.generate(ids, **given).tolist()


@pytest.mark.parametrize("smaller_first", [True, False])
def test_one_method_serves_targets_with_and_without_the_rows(smaller_first: bool) -> None:
    target, draft, *tokenizers = pair("target")
    whole = small.model(tokenizers[0], seed=3, padding=5)
    ours = anydraft.custom_generate(draft, *tokenizers)
    ids = tokenizers[0]("A quick brown", return_tensors="pt").input_ids
    given: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False}
    for model in (target, whole, target) if smaller_first else (whole, target, whole):
        out = model.generate(ids, **given, custom_generate=ours)
        assert out.tolist() == model.generate(ids, **given).tolist()


def test_a_chat_of_a_draft_whose_template_has_such_a_token() -> None:
    target, draft, *tokenizers = pair("both")
    for tokenizer in tokenizers:
        tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizers[1].chat_template = SOFT + tokenizers[1].chat_template
    messages = [{"role": "user", "content": "A brown"}]
    out = small.join((target, draft, *tokenizers)).generate(messages=messages, max_new_tokens=8)
    assert (out.draft_failure, out.stats.drafted > 0) == (None, True)
    ours = anydraft.custom_generate(draft, *tokenizers)
    ids = tokenizers[0]("A brown", return_tensors="pt").input_ids
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target.generate(ids, max_new_tokens=8, do_sample=False, custom_generate=ours, messages=messages)
    shown, _ = opening_of(tokenizers[1], draft.config.vocab_size, None, bytes)([5, 6])
    assert all(token < draft.config.vocab_size for token in shown)


def test_such_a_bridge_is_kept_in_a_file(tmp_path: Any) -> None:
    target, draft, *tokenizers = pair("both")
    bridge = small.join((target, draft, *tokenizers)).bridge
    bridge.save(tmp_path / "bridge")
    again = anydraft.Bridge.load(tmp_path / "bridge", *tokenizers)
    assert (again.fingerprints, len(again.target)) == (bridge.fingerprints, target.config.vocab_size)
    assert small.join((target, draft, *tokenizers), bridge=again).generate("A", max_new_tokens=4).token_ids


def test_a_bridge_of_a_pair_serves_another_of_the_same() -> None:
    target, draft, *tokenizers = pair("both")
    bridge = small.join((target, draft, *tokenizers)).bridge
    assert (len(bridge.target), len(bridge.draft)) == (target.config.vocab_size, draft.config.vocab_size)
    again = small.join((target, draft, *tokenizers), bridge=pickle.loads(pickle.dumps(bridge)))
    assert again.generate("A", max_new_tokens=4).token_ids
    with pytest.raises(PairError, match="logits"):
        small.join((target, draft, *tokenizers), bridge=anydraft.Bridge(*tokenizers))


def test_other_tokens_beyond_the_rows_are_no_such_tokens() -> None:
    target, draft, *tokenizers = pair("neither")
    target.resize_token_embeddings(target.config.vocab_size - 30)
    with pytest.raises(PairError, match="Is it the model's own tokenizer"):
        small.join((target, draft, *tokenizers))
    source = TokenizerSource.of(tokenizers[0], "target")
    assert source.within(len(tokenizers[0])) is source


def test_doctor_calls_it_usable() -> None:
    target, draft, *tokenizers = pair("both")
    subjects = [
        Subject(tokenizer, name=name, facts=ModelFacts(rows=model.config.vocab_size))
        for name, tokenizer, model in zip(("t", "d"), tokenizers, (target, draft), strict=True)
    ]
    report = examine(*subjects)
    assert report.verdict.level != "impossible"
    assert {h.who for h in report.hazards if h.title == "added tokens without rows"} == {"target", "draft"}


def test_a_server_is_proposed_nothing_else(tmp_path: Any) -> None:
    target, draft, *tokenizers = pair("both")
    for name, model, tokenizer in zip(("target", "draft"), (target, draft), tokenizers, strict=True):
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    made = config(str(tmp_path / "target"), str(tmp_path / "draft"))
    made.model_config.get_vocab_size = lambda: target.config.vocab_size
    drafter = Proposer(made).drafter
    ids = np.array(small.byte_fallback()("A quick brown fox")["input_ids"], dtype=np.int32)
    with torch.no_grad():
        found = [drafter.propose([ids[:step]], [1], [100])[0] for step in range(3, len(ids))]
    assert any(found)
    assert max(token for proposed in found for token in proposed) < target.config.vocab_size
