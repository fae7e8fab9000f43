"""The page: whole HTML that needs no other file, for one draft, several, or every pair."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import doctor_subjects
from anydraft.doctor import Finding, Refusal, Subject, examine, page
from byte_tokenizers import byte_level

VOID = {"meta", "br", "rect", "i"}


class Tags(HTMLParser):
    """Checks that every tag is closed; collects tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(made: str) -> Tags:
    found = Tags(made)
    assert found.open == []
    assert not found.tags & {"script", "link", "img", "iframe", "object"}
    assert not found.attributes & {"src", "href", "onload", "onclick", "srcset"}
    assert not re.search(r"https?:|@import|url\(", made)
    assert 'name="viewport"' in made
    assert "prefers-color-scheme: dark" in made
    return found


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    evil = Subject(byte_level(controls=("<script>alert(1)</script>",)), name="<b>evil</b>")
    target = doctor_subjects.fallback()
    return [
        examine(target, doctor_subjects.level()),
        examine(target, evil),
        Refusal("fallback", "broken & refused", "got <nothing>"),
    ]


def test_one_draft(findings: list[Finding]) -> None:
    made = page.ranking("fallback", findings[:1])
    found = checked(made)
    assert "svg" in found.tags
    for said in ("usable", "False friends", "prose", "multilingual", "slrs", "<|endoftext|>"):
        assert said in found.text, said


def test_text_of_a_vocabulary_is_never_markup(findings: list[Finding]) -> None:
    made = page.ranking("fallback", findings[1:2])
    assert "<b>evil</b>" in checked(made).text
    assert "<script" not in made


def test_several_drafts(findings: list[Finding]) -> None:
    found = checked(page.ranking("fallback", findings))
    assert found.text.count("usable") >= 2
    assert "got <nothing>" in found.text
    assert "details" in found.tags


def test_every_pair(findings: list[Finding]) -> None:
    names = ["fallback", "level", "<b>evil</b>", "broken & refused"]
    found = checked(page.matrix(names, findings))
    assert "3 pairs" in found.text
    assert "no" in found.text


def test_a_refused_draft_alone(findings: list[Finding]) -> None:
    assert "impossible: got <nothing>" in checked(page.ranking("fallback", findings[2:])).text


def test_nothing_but_shares_is_drawn(findings: list[Finding]) -> None:
    made = page.ranking("fallback", findings[:1])
    widths = [float(width) for width in re.findall(r'width="([\d.]+)%"', made)]
    assert widths
    assert all(0 <= width <= 100 for width in widths)
    assert "nan" not in made.lower().replace("finance", "")
