"""The examination of a pair: control tokens, hazards, memory, verdict, ranking; and its work."""

from __future__ import annotations

import json
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

import doctor_subjects
import real
import small
from anydraft import Bridge, TokenizerError
from anydraft.bridge import special_tokens
from anydraft.doctor import Refusal, Report, Subject, examine, ranked, samples
from anydraft.doctor.examine import LONGEST
from anydraft.doctor.model_facts import ModelFacts
from anydraft.doctor.report import ALL
from anydraft.errors import ArgumentError
from byte_tokenizers import byte_level
from counting import counted
from sampled import one_of


def tiny(target: ModelFacts | None = None, draft: ModelFacts | None = None, **options: Any) -> Report:
    return examine(doctor_subjects.fallback(target), doctor_subjects.level(draft), **options)


def titles(report: Report, who: str) -> dict[str, str]:
    return {hazard.title: hazard.severity for hazard in report.hazards if hazard.who == who}


def test_a_report_is_json() -> None:
    made = tiny().as_dict()
    assert json.loads(json.dumps(made)) == made
    assert made["texts"][-1]["name"] == ALL
    assert made["texts"][-1]["target_share"] == pytest.approx(
        made["texts"][-1]["target_shared"] / made["texts"][-1]["target_tokens"]
    )


def test_the_samples_have_every_category() -> None:
    texts = samples.bundled()
    assert tuple(texts) == samples.CATEGORIES
    assert all(len(text.encode()) > 700 for text in texts.values())
    assert "\r\n" in texts["whitespace"]
    for script in ("中" <= char <= "鿿" for char in texts["multilingual"]), "привет", "ال", "है", "👩‍👩‍👧‍👦":
        assert any(script) if not isinstance(script, str) else set(script) <= set(texts["multilingual"])


def test_overlap_by_count_is_the_bridges() -> None:
    found = tiny().overlap
    sides = small.byte_fallback(), small.byte_level()
    assert vars(found) == vars(Bridge(*sides).coverage())


def test_lengths_count_every_token_in_use() -> None:
    text = "The quick brown fox 🙂\n\n"
    side = tiny(texts={"a": text, "b": text}).target
    core = doctor_subjects.fallback().core
    sizes = [len(core.bytes(i)) for i in core.encode(text.encode()) or []]
    assert side.lengths == [2 * sizes.count(n) for n in range(1, LONGEST + 1)] + [0]
    assert side.text_tokens == sum(bool(core.bytes(i)) for i in range(len(core)))


def test_control_tokens_are_bridged_as_a_decode_does_it() -> None:
    facts = ModelFacts(end_ids=(small.byte_fallback().eos_token_id,))
    found = tiny(facts).control
    sides = small.byte_fallback(), small.byte_level()
    roles = special_tokens.bridge_roles(*sides, SimpleNamespace(eos_token_id=list(facts.end_ids)), None)
    assert {(pair.token, pair.partner) for pair in found.proposed} == set(roles.to_target)
    assert {(pair.token, pair.partner) for pair in found.shown} == set(roles.to_draft)
    assert [pair.why for pair in found.proposed] == ["same role"] * len(found.proposed)
    assert found.ends == found.ends_proposed == ["<eos>"]
    assert (found.target_opening, found.draft_opening) == (["<bos>"], [])


def test_a_chat_is_shown_as_each_side_reads_it() -> None:
    templated = small.byte_level().__class__(tokenizer_object=small.byte_level().backend_tokenizer)
    templated.chat_template = "{% for m in messages %}<|im_end|>{{ m.content }}{% endfor %}"
    found = examine(doctor_subjects.fallback(), Subject(templated, name="chat")).control.chat
    assert found.target_by == "plain text: no template"
    assert found.target_prompt.startswith("<bos>user:\nWhy")
    assert found.draft_by == "its chat template"
    assert found.draft_prompt == "<|im_end|>Why is the sky blue?"
    templated.chat_template = "{{ raise_exception('no') }}"
    found = examine(doctor_subjects.fallback(), Subject(templated, name="chat")).control.chat
    assert found.draft_by == "plain text: its template refuses a chat"


def test_memory_is_that_of_the_arrays() -> None:
    found = tiny()
    roles = special_tokens.bridge_roles(small.byte_fallback(), small.byte_level())
    bridge = Bridge(
        small.byte_fallback(), small.byte_level(), to_target=roles.to_target, to_draft=roles.to_draft
    )
    assert found.memory.tables == bridge.tables.nbytes
    assert found.memory.classes == sum(array.nbytes for array in bridge.classes.arrays().values())


def test_hazards_of_the_models_files() -> None:
    ids = len(doctor_subjects.fallback().core)
    found = tiny(ModelFacts(window=4096, rows=ids + 64), ModelFacts(window=512))
    assert titles(found, "target")["padded rows"] == "note"
    assert titles(found, "draft")["shorter window"] == "warning"
    assert any(hazard.detail.startswith("64 of") for hazard in found.hazards)
    assert "shorter window" not in titles(tiny(ModelFacts(window=512), ModelFacts(window=512)), "draft")


def test_hazards_of_a_tokenizer() -> None:
    found = examine(Subject(byte_level(without="Äé"), name="gaps"), doctor_subjects.fallback())
    assert titles(found, "target")["bytes without a token"] == "warning"
    assert titles(found, "target")["text that cannot be written"] == "warning"
    assert found.total.target_unwritten > 0
    assert titles(found, "draft")["added tokens in plain text"] == "note"


def test_a_tokenizer_that_rewrites_text_is_told() -> None:
    backend = byte_level()
    backend.normalizer = normalizers.NFC()
    found = examine(Subject(backend, name="nfc"), doctor_subjects.level(), {"text": "e\u0301"})
    assert titles(found, "target")["normal form dropped"] == "warning"
    assert titles(found, "target")["spelled in another way"] == "note"


def test_users_tokenizers_are_not_changed() -> None:
    tokenizer = small.byte_fallback()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    before = tokenizer.backend_tokenizer.to_str()
    try:
        found = examine(Subject(tokenizer, name="a"), doctor_subjects.level())
        assert tokenizer.backend_tokenizer.to_str() == before
        assert "spelled in another way" not in titles(found, "target")
    finally:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()


def test_usable() -> None:
    same = examine(doctor_subjects.level(), doctor_subjects.level())
    assert same.verdict.line == "usable: use tli (tli reaches 100.0% of the target's tokens)"
    verdict = examine(
        Subject(byte_level("ab"), name="a"),
        Subject(byte_level(), name="b"),
        {"text": "ab cd ef gh"},
    ).verdict
    assert (verdict.level, verdict.greedy_method, verdict.sampling_method) == ("usable", "slem", "slrs")
    assert verdict.line.startswith("usable: use slem at temperature 0 and slrs when sampling")


def test_poor_where_the_draft_needs_many_tokens() -> None:
    letters = Subject(byte_level(), name="letters")
    trained = Subject(small.byte_level(800), name="trained")
    verdict = examine(trained, letters, {"text": small.TEXT}).verdict
    assert verdict.level == "poor"
    assert "tokens for one of the target" in verdict.line
    assert examine(letters, trained, {"text": small.TEXT}).verdict.level == "usable"


def test_poor_where_the_draft_cannot_write_the_text() -> None:
    target = Subject(byte_level(), name="all")
    draft = Subject(byte_level(without="ae"), name="some")
    assert "the draft cannot write" in examine(target, draft).verdict.line


def test_impossible_where_the_model_has_too_few_rows() -> None:
    verdict = tiny(draft=ModelFacts(rows=300)).verdict
    assert (verdict.level, verdict.greedy_method) == ("impossible", None)
    assert verdict.line == "impossible: the draft has fewer rows than ids"


def test_impossible_where_nothing_is_shared() -> None:
    def only(letters: str) -> Subject:
        tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(letters)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        return Subject(tokenizer, name=letters)

    verdict = examine(only("abc"), only("xyz"), {"text": "abcxyz"}).verdict
    assert verdict.line == "impossible: the two vocabularies share no token"


def test_a_tokenizer_without_a_byte_form_is_refused() -> None:
    backend = byte_level()
    backend.normalizer = normalizers.Lowercase()
    with pytest.raises(TokenizerError, match="draft's tokenizer"):
        Subject(backend, name="lower", role="draft")


@pytest.mark.parametrize("texts", [{}, {"a": ""}])
def test_no_text(texts: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match="text"):
        tiny(texts=texts)


def test_ranking() -> None:
    target = Subject(small.byte_level(800), name="target")
    others = [
        Refusal("target", "broken", "no"),
        examine(target, Subject(byte_level(), name="letters"), {"text": small.TEXT}),
        examine(target, Subject(small.byte_level(300), name="near"), {"text": small.TEXT}),
        examine(target, target, {"text": small.TEXT}),
    ]
    assert [getattr(f, "draft_name", "") or f.draft.name for f in ranked(others)] == [  # type: ignore[union-attr]
        "target",
        "near",
        "letters",
        "broken",
    ]


def test_the_work_grows_with_the_vocabularies_and_not_with_their_product() -> None:
    target, draft = doctor_subjects.subject("gemma3"), doctor_subjects.subject("smollm2")
    with counted() as work:
        report = examine(target, draft)
    tokens = report.overlap.target_tokens + report.overlap.draft_tokens
    assert tokens > 300_000
    assert work.lines < 20 * tokens
    assert work.c_calls.total() < 20 * tokens


@pytest.mark.parametrize(("target", "draft"), one_of(5, permutations(real.TOKENIZERS, 2)))
def test_all_pairs_of_the_real_tokenizers_are_usable(target: str, draft: str) -> None:
    report = examine(doctor_subjects.subject(target), doctor_subjects.subject(draft))
    assert report.verdict.level == "usable"
    assert report.total.reached(report.verdict.sampling_method or "") > 0.8
