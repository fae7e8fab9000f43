"""Intersection, translation and expansion tables against brute force in plain Python.

The oracle knows the vocabularies through the installed wheels alone (see ``wheels``).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wheels
from anydraft import Bridge, Coverage, Tokenizer
from anydraft.bridge.tables import MISSING
from wheels import Pair

PAIRS = [
    ("gemma3", "smollm2"),
    ("smollm2", "gemma3"),
    ("qwen", "mistral_v1"),
    ("mistral_v1", "deepseek"),
    ("cl100k", "tekken"),
    ("gemma3", "mistral_v1"),
]
"""Target, draft."""

RANKS = {"text": 0, "added": 1, "byte": 2}


@cache
def by_bytes(name: str) -> dict[bytes, list[int]]:
    """The ids of every byte string, the canonical one first: text, added, byte fallback; lowest id."""
    pair = wheels.pair(name)
    ids = defaultdict(list)
    for i, token in pair.wheel.token_bytes.items():
        if token:
            ids[token].append(i)
    return {token: sorted(same, key=lambda i: (RANKS[pair.ours.kind(i)], i)) for token, same in ids.items()}


@cache
def joined(target: str, draft: str) -> Bridge:
    return Bridge(wheels.pair(target).ours, wheels.pair(draft).ours)


@pytest.fixture(params=PAIRS, ids="<-".join)
def names(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def expected_table(source: Pair, other: Pair) -> list[int]:
    """Canonical ids by bytes; control tokens by their contents."""
    table = [MISSING] * len(source.ours)
    for token, ids in by_bytes(source.name).items():
        for i in ids:
            table[i] = by_bytes(other.name).get(token, [MISSING])[0]
    named = {content: i for i, content in sorted(other.ours.special_tokens.items(), reverse=True)}
    for i, content in source.ours.special_tokens.items():
        table[i] = named.get(content, MISSING)
    return table


def test_pairs_are_all_pairs_of_equal_bytes(names: tuple[str, str]) -> None:
    target, draft = map(by_bytes, names)
    expected = [(t, d) for token in target.keys() & draft.keys() for t in target[token] for d in draft[token]]
    assert joined(*names).pairs() == sorted(expected)


def test_coverage_counts_them(names: tuple[str, str]) -> None:
    target, draft = map(by_bytes, names)
    shared = target.keys() & draft.keys()
    assert joined(*names).coverage() == Coverage(
        shared=len(shared),
        target_tokens=sum(map(len, target.values())),
        draft_tokens=sum(map(len, draft.values())),
        target_shared=sum(len(target[token]) for token in shared),
        draft_shared=sum(len(draft[token]) for token in shared),
    )


def test_translation_tables(names: tuple[str, str]) -> None:
    target, draft = map(wheels.pair, names)
    tables = joined(*names).tables
    assert tables.draft_to_target.tolist() == expected_table(draft, target)
    assert tables.target_to_draft.tolist() == expected_table(target, draft)


def test_swapping_the_sides_swaps_the_tables(names: tuple[str, str]) -> None:
    there, back = joined(*names), joined(*reversed(names))
    assert sorted((d, t) for t, d in there.pairs()) == back.pairs()
    assert np.array_equal(there.tables.draft_to_target, back.tables.target_to_draft)
    assert np.array_equal(there.tables.target_to_draft, back.tables.draft_to_target)
    one, other = there.coverage(), back.coverage()
    assert (one.shared, one.target_tokens, one.target_shared) == (
        other.shared,
        other.draft_tokens,
        other.draft_shared,
    )


def test_expansion_rows_spell_the_draft_token(names: tuple[str, str]) -> None:
    target, draft = map(wheels.pair, names)
    tables = joined(*names).tables
    offsets, ids = tables.expansion_offsets.tolist(), tables.expansion_ids.tolist()
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(ids), len(draft.ours) + 1)
    for d in range(len(draft.ours)):
        row = ids[offsets[d] : offsets[d + 1]]
        token = draft.wheel.token_bytes.get(d, b"")
        image = int(tables.draft_to_target[d])
        if image >= 0:
            assert row == [image]
        else:
            assert row == (target.ours.encode(token) or [])
            assert not row or b"".join(target.wheel.token_bytes[t] for t in row) == token


def test_arrays_are_ones_that_torch_takes_over() -> None:
    for array in joined("gemma3", "smollm2").tables.arrays().values():
        assert array.dtype == np.int64
        assert array.flags.writeable
        assert array.flags.c_contiguous


class TestRealPair:
    """Gemma-3 with SmolLM2, where comparing vocabulary strings loses 593 tokens and mixes up 157."""

    def test_shares_at_least_46000_tokens(self) -> None:
        assert joined("gemma3", "smollm2").coverage().shared >= 46_000

    def test_no_pair_is_false(self) -> None:
        """By the wheels' own decoders, with nothing of ours between."""
        target, draft = wheels.pair("gemma3").wheel, wheels.pair("smollm2").wheel
        false = [
            (t, d)
            for t, d in joined("gemma3", "smollm2").pairs()
            if target.decode_one(t) != draft.decode_one(d) or target.token_bytes[t] != draft.token_bytes[d]
        ]
        assert false == []

    def test_the_newline_is_not_the_letter_that_stands_for_it(self) -> None:
        tables = joined("gemma3", "smollm2").tables
        target, draft = wheels.pair("gemma3").ours, wheels.pair("smollm2").ours
        newline, letter = draft.find(b"\n"), target.find("Ċ".encode())
        assert letter is not None
        assert tables.draft_to_target[newline] == target.find(b"\n")
        assert tables.target_to_draft[letter] == (draft.find("Ċ".encode()) or MISSING)
        assert tables.target_to_draft[letter] != newline

    @pytest.mark.parametrize(
        "text", ["\n\n", "\n", "    ", "  ", "“", "”", " “", "é", " é", "’", "\t", "—", "1", " the"]
    )
    def test_tokens_that_strings_miss_are_found(self, text: str) -> None:
        tables = joined("gemma3", "smollm2").tables
        t, d = (wheels.pair(name).ours.find(text.encode()) for name in ("gemma3", "smollm2"))
        assert tables.draft_to_target[d] == t
        assert tables.target_to_draft[t] == d


def tiny(ids: dict[int, bytes], controls: dict[int, str]) -> Tokenizer:
    return Tokenizer.from_tiktoken(
        [(token, i) for i, token in ids.items()], [(text, i) for i, text in controls.items()], r"\s+|\S+"
    )


@st.composite
def vocabularies(draw: st.DrawFn) -> tuple[dict[int, bytes], dict[int, str]]:
    """Short strings over four letters and some control tokens, with ids in any order and with gaps."""
    letters = st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), min_size=1, max_size=2).map(b"".join)
    tokens = draw(st.lists(letters, min_size=1, unique=True))
    controls = draw(st.lists(st.sampled_from(["<a>", "<b>", "<c>"]), unique=True))
    size = len(tokens) + len(controls)
    ids = draw(st.lists(st.integers(0, 2 * size), min_size=size, max_size=size, unique=True))
    first, last = ids[: len(tokens)], ids[len(tokens) :]
    return dict(zip(first, tokens, strict=True)), dict(zip(last, controls, strict=True))


@given(vocabularies(), vocabularies())
def test_vocabularies_of_any_ids_and_order(target_side, draft_side) -> None:
    (target, target_controls), (draft, draft_controls) = target_side, draft_side
    bridge = Bridge(tiny(target, target_controls), tiny(draft, draft_controls))
    assert bridge.pairs() == sorted((t, d) for t in target for d in draft if target[t] == draft[d])
    everything = {**target, **target_controls}, {**draft, **draft_controls}
    for table, (source, image) in (
        (bridge.tables.target_to_draft, everything),
        (bridge.tables.draft_to_target, everything[::-1]),
    ):
        back = {token: i for i, token in image.items()}
        assert table.tolist() == [back.get(source.get(i), MISSING) for i in range(max(source) + 1)]


class TestControlTokens:
    """The pairs of a bridge's own ``to_target`` and ``to_draft``."""

    TARGET = tiny({0: b"a", 1: b"b"}, {2: "<end>", 3: "<turn>"})
    DRAFT = tiny({0: b"b", 1: b"a"}, {2: "<turn>", 3: "<stop>"})

    def test_same_contents_are_partners(self) -> None:
        tables = Bridge(self.TARGET, self.DRAFT).tables
        assert tables.draft_to_target.tolist() == [1, 0, 3, MISSING]
        assert tables.target_to_draft.tolist() == [1, 0, MISSING, 2]

    def test_given_pairs_win(self) -> None:
        tables = Bridge(self.TARGET, self.DRAFT, to_target=[(3, 2), (2, 2)], to_draft=[(3, 3)]).tables
        assert tables.draft_to_target.tolist() == [1, 0, 2, 2]
        assert tables.target_to_draft.tolist() == [1, 0, MISSING, 3]
        assert tables.expansion_ids.tolist() == [1, 0, 2, 2]

    def test_ids_beyond_a_vocabulary_are_not_used(self) -> None:
        tables = Bridge(self.TARGET, self.DRAFT, to_target=[(3, 99), (99, 2)], to_draft=[(2, 99)]).tables
        assert tables.draft_to_target.tolist() == [1, 0, 3, MISSING]
        assert tables.target_to_draft.tolist() == [1, 0, MISSING, 2]
