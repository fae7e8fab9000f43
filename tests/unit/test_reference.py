"""The slow definition of the class tables, on vocabularies small enough to read."""

from __future__ import annotations

import pytest
import torch

from anydraft.sampling.rejection import NO_TOKEN
from reference import class_tables
from toys import PAIRS, ToyPair

PAIR = {pair.name: pair for pair in PAIRS}


def row_of(pair: ToyPair, d: int) -> list[int]:
    return pair.tables.ids[pair.tables.offsets[d] : pair.tables.offsets[d + 1]].tolist()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_what_every_table_says(pair: ToyPair) -> None:
    tables = pair.tables
    crossing = set(tables.crossing.tolist()) - {NO_TOKEN}
    for t, a in enumerate(tables.class_of.tolist()):
        written = pair.encode_draft(pair.target[t])
        whole = b"".join(pair.draft[d] for d in written) == pair.target[t]
        if t not in crossing:
            assert a == written[0] if whole else a == NO_TOKEN or t in row_of(pair, a)
    for d, t in enumerate(tables.image.tolist()):
        assert t == int(pair.table[d])
        assert row_of(pair, d) == ([t] if t >= 0 else pair.encode_target(pair.draft[d]))
    for key, t in zip(tables.merge_keys.tolist(), tables.merge_ids.tolist(), strict=True):
        a, e = divmod(key, len(pair.draft))
        assert pair.encode_draft(pair.target[t]) == [a, e]
        assert int(tables.class_of[t]) == a
    assert torch.equal(tables.merge_keys, tables.merge_keys.unique())


def test_a_draft_that_leaves_the_last_space_to_the_word() -> None:
    tables = PAIR["spaces"].tables
    assert tables.crossing.tolist() == [-1, -1, -1, 4, -1]  # "  " before " a" is "   "
    assert int(tables.class_of[4]) == 3
    assert tables.rest_offsets.tolist() == [0, 0, 0, 1, 1, 1]  # of " a" the "a" is left
    assert tables.rest_ids.tolist() == [1]


def test_a_target_that_leaves_the_last_space_to_the_word() -> None:
    tables = PAIR["mirror"].tables
    assert tables.crossing.tolist() == [-1, -1, 0, 3, -1]  # "  " before "a" is " ", "   " is "  "
    assert tables.class_of.tolist()[:4] == [2, 0, 1, 3]
    assert tables.rest_ids.tolist()[0] == 2  # of "a" there is " a" to write


def test_control_tokens_go_by_role() -> None:
    tables = class_tables(
        (b"a", None, b"<e>"), (None, b"a", b"<e>"), lambda _: [], lambda _: [], partners=[(1, 0)]
    )
    assert tables.image.tolist() == [1, 0, 2]
    assert tables.class_of.tolist() == [1, 0, 2]
    assert tables.owned().tolist() == [1, 0, 2]


def test_byte_tokens_are_the_last_choice() -> None:
    vocabulary = (b"a", b"a", b"b")
    tables = class_tables(vocabulary, (b"a", b"b"), lambda _: [], lambda _: [], fallback=[0, 2])
    assert tables.image.tolist() == [1, 2]


def test_several_tokens_with_the_same_bytes() -> None:
    tables = PAIR["duplicates"].tables
    assert tables.image.tolist() == [0, 1, 0, 2, 1]  # the lowest target id
    assert tables.class_of.tolist() == [0, 1, 3, 0, 0]  # but every target token has a class
    assert tables.owned().tolist() == [0, 1, NO_TOKEN, 2, NO_TOKEN]
    assert tables.ending().tolist() == [0, 1, 3, NO_TOKEN, NO_TOKEN]
