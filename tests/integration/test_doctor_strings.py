"""False friends: one vocabulary string, different bytes; and how bytes are shown."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import doctor_subjects
from anydraft.doctor import Subject, examine
from anydraft.doctor.report import Strings
from anydraft.doctor.shown import visible
from byte_tokenizers import byte_level

KINDS = ("gemma3", "smollm2", "mistral_v1", "tekken")


def compare(target: str, draft: str) -> Strings:
    left, right = doctor_subjects.subject(target), doctor_subjects.subject(draft)
    return examine(left, right, {"text": "a\n"}, most=10**6).strings


def test_the_known_false_friends_of_gemma_and_smollm() -> None:
    target, draft = doctor_subjects.subject("gemma3"), doctor_subjects.subject("smollm2")
    friends = {friend.string: friend for friend in compare("gemma3", "smollm2").false_friends}
    letter = friends["Ċ"]
    assert target.core.bytes(letter.target) == "Ċ".encode()
    assert draft.core.bytes(letter.draft) == b"\n"
    assert (letter.target_shown, letter.draft_shown) == ("Ċ", "⏎")
    o = friends["ó"]
    assert target.core.bytes(o.target) == "ó".encode()
    assert draft.core.bytes(o.draft) == b"\xf3"
    assert (o.target_shown, o.draft_shown) == ("ó", "<F3>")
    assert friends["▁é"].draft_shown == "␣<E9>"


def test_those_in_use_come_first() -> None:
    assert compare("gemma3", "smollm2").false_friends[0].draft_shown == "⏎"


@pytest.mark.parametrize(("left", "right"), list(combinations(KINDS, 2)))
def test_both_directions_see_the_same_friends_and_each_is_one(left: str, right: str) -> None:
    there, back = compare(left, right), compare(right, left)
    assert (there.equal, there.wrong) == (back.equal, back.wrong)
    pairs = {(friend.target, friend.draft) for friend in there.false_friends}
    assert pairs == {(friend.draft, friend.target) for friend in back.false_friends}
    assert len(pairs) == there.wrong
    ours, theirs = doctor_subjects.subject(left), doctor_subjects.subject(right)
    for target, draft in pairs:
        assert ours.core.bytes(target) != theirs.core.bytes(draft)
    assert min(there.missed, back.missed) >= 0


def test_control_tokens_of_one_name_are_no_false_friends_but_text_of_that_name_is() -> None:
    plain = Subject(byte_level(controls=("<end>",)), name="plain")
    tokenizer = byte_level(controls=())
    tokenizer.add_tokens(["<end>"])
    text = Subject(tokenizer, name="text")
    found = examine(plain, text, {"text": "a"}).strings
    assert (found.equal, found.wrong) == (257, 1)
    assert found.false_friends[0].target_shown == "(special)"
    assert found.false_friends[0].draft_shown == "<end>"
    assert examine(plain, plain, {"text": "a"}).strings.wrong == 0


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b" a", "␣a"),
        (b"\n\t\r\0\x1b\x7f", "⏎⇥␍␀␛␡"),
        (b"\xe6\x9d", "<E6><9D>"),
        ("東京".encode(), "東京"),
        ("\u200d".encode(), "<U+200D>"),
        ("👩\u200d🚀".encode(), "👩\u200d🚀"),
        ("\u0301".encode(), "◌\u0301"),
        ("e\u0301".encode(), "e\u0301"),
        ("\ufe0f".encode(), "<U+FE0F>"),
        ("\u00a0\u3000\u202e".encode(), "<U+00A0><U+3000><U+202E>"),
        (b"", ""),
    ],
)
def test_bytes_are_shown_visibly(data: bytes, shown: str) -> None:
    assert visible(data) == shown


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_nothing_that_is_shown_steers_a_terminal(data: bytes) -> None:
    shown = visible(data)
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert bool(shown.encode()) == bool(data)  # and no lone surrogates
