"""Overlap by use and reach, against counts in plain Python on what the installed wheels say."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import accumulate, pairwise, permutations

import pytest

import doctor_subjects
import real
import wheels
from anydraft.doctor import Report, Subject, examine, samples
from anydraft.doctor.reach import METHODS
from byte_tokenizers import byte_level

PAIRS = list(permutations(("gemma3", "smollm2", "mistral_v1", "qwen"), 2))
Span = tuple[int, int]


@cache
def report(target: str, draft: str) -> Report:
    return examine(doctor_subjects.subject(target), doctor_subjects.subject(draft), most=10_000)


@cache
def wheel_tokens(name: str, text: str) -> list[bytes]:
    wheel = wheels.pair(name).wheel
    return [wheel.token_bytes[i] for i in wheel.encode(text)]


@cache
def vocabulary(name: str) -> frozenset[bytes]:
    return frozenset(wheels.pair(name).wheel.token_bytes.values()) - {b""}


def spans(tokens: list[bytes]) -> list[Span]:
    return list(pairwise([0, *accumulate(map(len, tokens))]))


@pytest.mark.parametrize(("target", "draft"), PAIRS)
def test_figures_weighted_by_use_are_those_of_a_brute_force_count(target: str, draft: str) -> None:
    found = report(target, draft)
    sums: Counter[str] = Counter()
    for use in found.texts[:-1]:
        text = samples.bundled()[use.name]
        ours, theirs = wheel_tokens(target, text), wheel_tokens(draft, text)
        counted = {
            "bytes": len(text.encode()),
            "target_tokens": len(ours),
            "target_shared": sum(token in vocabulary(draft) for token in ours),
            "draft_tokens": len(theirs),
            "draft_shared": sum(token in vocabulary(target) for token in theirs),
            "common_ends": len({end for _, end in spans(ours)} & {end for _, end in spans(theirs)}),
        }
        assert {name: getattr(use, name) for name in counted} == counted, use.name
        assert use.target_unwritten == use.draft_unwritten == 0
        sums.update(counted)
    assert {name: getattr(found.total, name) for name in sums} == dict(sums)


@pytest.mark.parametrize(("target", "draft"), PAIRS)
def test_the_lost_tokens_are_those_of_a_brute_force_count(target: str, draft: str) -> None:
    found = report(target, draft)
    for one, other, lost in ((target, draft, found.lost), (draft, target, found.foreign)):
        texts = samples.bundled().values()
        counted = Counter(
            token for text in texts for token in wheel_tokens(one, text) if token not in vocabulary(other)
        )
        subject = doctor_subjects.subject(one)
        assert {subject.core.bytes(entry.token): entry.count for entry in lost} == dict(counted)
        counts = [entry.count for entry in lost]
        assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(("target", "draft"), PAIRS)
def test_the_reach_of_tli_and_pushforward_is_that_of_a_brute_force_count(target: str, draft: str) -> None:
    wheel = wheels.pair(target)
    for use in report(target, draft).texts[:-1]:
        text = samples.bundled()[use.name]
        ours, theirs = wheel_tokens(target, text), wheel_tokens(draft, text)
        wanted = set(spans(ours))
        alike = set(spans(theirs)) & wanted
        assert use.reach["tli"] == len(alike)
        rewritten = set()
        for token, (start, _) in zip(theirs, spans(theirs), strict=True):
            written = [token] if token in vocabulary(target) else _written(wheel.ours, token)
            rewritten |= {(start + left, start + right) for left, right in spans(written)}
        assert use.reach["pushforward"] == len(rewritten & wanted)


def _written(tokenizer: object, token: bytes) -> list[bytes]:
    core: real.Any = tokenizer
    return [core.bytes(i) for i in core.encode(token) or []]


@pytest.mark.parametrize(("target", "draft"), PAIRS)
def test_a_method_reaches_what_the_cheaper_ones_do(target: str, draft: str) -> None:
    for use in report(target, draft).texts:
        reaches = [use.reach[name] for name in METHODS]
        assert reaches == sorted(reaches)
        assert reaches[-1] <= use.target_tokens


def test_slrs_reaches_tokens_that_two_draft_tokens_spell() -> None:
    target = Subject(byte_level("ab", "cd"), name="target")
    draft = Subject(byte_level("cd"), name="draft")
    use = examine(target, draft, {"text": "abcdab x"}).total
    assert use.target_tokens == 5  # ab cd ab, a space, x
    assert use.reach == {"tli": 3, "pushforward": 3, "slrs": 5}
    assert (use.target_shared, use.draft_shared, use.draft_tokens) == (3, 7, 7)


def test_slrs_reaches_a_space_that_goes_over_to_the_next_word() -> None:
    use = report("gemma3", "smollm2").texts[samples.CATEGORIES.index("whitespace")]
    assert use.reach["slrs"] > use.reach["pushforward"] + 10


def test_a_tokenizer_with_itself_loses_nothing() -> None:
    one = doctor_subjects.fallback()
    found = examine(one, one)
    for use in found.texts:
        assert use.target_share == use.draft_share == use.draft_per_target == 1
        assert set(use.reach.values()) == {use.target_tokens}
    assert found.lost == found.foreign == []
    assert (found.verdict.greedy_method, found.verdict.sampling_method) == ("tli", "tli")
