"""Failures are explained in bytes, so that nothing invisible hides the difference."""

from __future__ import annotations

import json

import pytest

from anydraft.testing import Finding, LawBrokenError
from anydraft.testing.showing import first_difference, shown, visible
from anydraft.testing.violation import Ids


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a b", '"a b"'),
        (b"\x00\n\t\r", r'"\x00\n\t\r"'),
        ("é 世 🙂".encode(), '"é 世 🙂"'),
        ("e\u0301\u200d\u00a0\u202e\ufeff".encode(), r'"e\u0301\u200d\u00a0\u202e\ufeff"'),
        ("\ufffd".encode(), r'"\ufffd"'),
        ("\U000e0041".encode(), r'"\U000e0041"'),
        (b"\xe4\xb8a\xff", r'"\xe4\xb8a\xff"'),
        (b'"\\', r'"\"\\"'),
        ("a\udc80\ud800", r'"a\udc80\ud800"'),
    ],
)
def test_nothing_is_invisible(data: bytes | str, expected: str) -> None:
    assert visible(data) == expected


def test_first_difference() -> None:
    assert first_difference(b"abc", b"abd") == 2
    assert first_difference(b"ab", b"abc") == 2
    assert first_difference(b"", b"") == 0


def test_long_bytes_are_shown_where_they_differ() -> None:
    line = shown(b"x" * 500 + b"\x00" + b"y" * 500, 500)
    assert line.startswith("… 78")
    assert line.endswith("(bytes 488 to 512 of 1001)")
    assert r"\x00" in line
    assert shown(b"") == "nothing"


def error() -> LawBrokenError:
    table = {1: b"a", 2: b"\xc3", 3: b"\xa9"}
    sides = [Ids.of("one", [1, 2, 3], table.__getitem__), Ids.of("two", [1, 9], table.__getitem__)]
    finding = Finding("it differs", {"text": "aé", "ids": [1]}, b"a\xc3\xa9", b"a", sides)
    return LawBrokenError("round-trip", "it comes back", "mine", finding, "A hint.")


def test_the_message_is_the_whole_explanation() -> None:
    assert str(error()).splitlines() == [
        "mine breaks the law round-trip: it comes back",
        "it differs",
        'text       61 c3 a9  "aé"',
        "ids        [1]",
        'expected   61 c3 a9  "aé"',
        'got        61  "a"',
        "differs    at byte 1: expected c3, got the end",
        "one (3):",
        '        1  at 0    61  "a"',
        r'        2  at 1    c3  "\xc3"',
        r'        3  at 2    a9  "\xa9"',
        "two (2):",
        '        1  at 0    61  "a"',
        "        9  at 1    no bytes",
        "A hint.",
    ]


def test_it_is_an_assertion() -> None:
    assert isinstance(error(), AssertionError)


def test_json() -> None:
    found = json.loads(json.dumps(error().as_dict()))
    assert found["given"]["text"] == {"hex": "61c3a9", "text": "aé"}
    assert found["expected"] == {"hex": "61c3a9", "text": "aé"}
    assert found["differs_at_byte"] == 1
    assert found["ids"][1]["tokens"] == [{"id": 1, "hex": "61", "text": "a"}, {"id": 9}]
    surrogate = Finding("it", {"text": "\ud800"}).as_dict()
    assert json.loads(json.dumps(surrogate))["given"]["text"] == {"hex": None, "text": r"\ud800"}


def test_of_many_ids_those_where_they_differ_are_shown() -> None:
    left, right = list(range(1000)), [*range(700), 7, *range(701, 1000)]
    sides = [Ids.of(label, ids, lambda i: b"%d " % i) for label, ids in (("l", left), ("r", right))]
    lines = Finding("x", ids=sides).lines()
    assert len(lines) < 70
    assert any(line.split()[0] == "700" for line in lines)
    assert "  … tokens 688 to 712 of 1000" in lines
