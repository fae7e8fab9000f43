"""The strategies give what they say, and give it often enough."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import Phase, find, given, settings

from anydraft.testing import byte_strings, strategies, texts


@pytest.mark.parametrize("name", strategies.HAZARDS)
def test_a_hazard_is_text_that_utf8_can_write(name: str) -> None:
    @settings(max_examples=40)
    @given(strategies.HAZARDS[name]())
    def check(text: str) -> None:
        assert text.encode().decode() == text
        assert text

    check()


WANTED = {
    "nul": "\x00",
    "line end": "\r\n",
    "run of spaces": "   ",
    "digits": r"\d{5}",
    "joined emoji": "\u200d",
    "mark": "\u0301",
    "right to left": "[\u0590-\u06ff]",
    "look-alike": r"<\|endoftext\|>",
    "byte token": "<0x0A>",
    "space mark": "▁",
    "own token": "<own>",
    "own token after space": " <own>",
    "replacement at the end": "\ufffd$",
    "space at the start": "^ ",
    "long word": r"\w{300}",
    "nothing": "^$",
}


@pytest.mark.parametrize("kind", WANTED)
def test_every_hazard_is_in_the_texts(kind: str) -> None:
    once = settings(max_examples=2000, phases=[Phase.generate])
    found = find(texts(["<own>"]), lambda text: bool(re.search(WANTED[kind], text)), settings=once)
    assert re.search(WANTED[kind], found)


def test_bytes_are_cut_within_characters() -> None:
    def unfinished(data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return error.end == len(data)
        return False

    assert len(find(byte_strings(), unfinished)) <= 6
    assert len(find(strategies.partial_code_points(), unfinished)) <= 6


@settings(max_examples=30)
@given(strategies.surrogates())
def test_surrogates_are_lone(text: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        text.encode()
    assert any(unicodedata.category(char) == "Cs" for char in text)


@settings(max_examples=30)
@given(strategies.cuts(7))
def test_cuts_ascend(places: list[int]) -> None:
    assert places == sorted(places)
    assert all(0 <= place <= 7 for place in places)
