"""Trees in parts: every token once or more, its path with it, and no part larger than allowed."""

from __future__ import annotations

import itertools

from anydraft.models.llama_cpp.shares import path_to, shares


def trees(size: int) -> list[tuple[int, ...]]:
    return list(itertools.product(*(range(i + 1) for i in range(size))))


def test_every_token_comes_with_its_path_in_parts_that_fit() -> None:
    for size in range(1, 7):
        for parents in trees(size):
            for paths, tokens in itertools.product((1, 2, 9), (1, 3, 9)):
                found = shares(parents, paths, tokens)
                assert {token for share in found for token in share.tokens} == set(range(size))
                for share in found:
                    assert share.tokens == sorted(share.tokens)
                    assert 1 <= share.number <= paths
                    assert len(share.tokens) <= tokens or share.number == 1
                    for token, on, depth in zip(share.tokens, share.paths, share.depths, strict=True):
                        path = path_to(parents, token)
                        assert set(path) <= set(share.tokens)
                        assert len(path) == depth + 1
                        for before in path:  # whoever comes through a token comes through those before it
                            assert set(on) <= set(share.paths[share.tokens.index(before)])
                    assert {number for on in share.paths for number in on} == set(range(share.number))


def test_a_tree_that_fits_is_one_part() -> None:
    (share,) = shares([0, 1, 2, 1, 0], 3, 5)
    assert share.tokens == [0, 1, 2, 3, 4]
    assert share.paths == [[0, 1], [0], [0], [1], [2]]
    assert share.depths == [0, 1, 2, 1, 0]
    assert len(shares([0, 1, 2, 1, 0], 2, 5)) == 2
    assert len(shares([0, 1, 2, 1, 0], 3, 4)) == 2


def test_what_is_kept_of_a_path_comes_first_in_its_part() -> None:
    first, second = shares([0, 1, 2, 1, 0], 2, 5)
    assert first.tokens == [0, 1, 2, 3]
    assert first.kept([0, 1, 2]) == (3, 0)
    assert first.kept([0, 1]) == (2, 0)
    assert first.kept([0, 3]) == (1, 0)  # the other token lies behind a gap
    assert first.kept([]) == (0, 0)
    assert second.kept([4]) == (1, 0)
    assert second.kept([0, 3]) == (0, 0)  # it was read in a part that is no longer there
    (whole,) = shares([0, 1, 0, 2], 9, 9)
    assert whole.paths == [[1], [1], [0], [1]]
    assert whole.kept([0, 1, 3]) == (2, 1)
