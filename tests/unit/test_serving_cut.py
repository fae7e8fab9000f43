"""A stream without its stop string: pieces make up the text before it, and nothing is shown too soon."""

from __future__ import annotations

import itertools

import pytest

from anydraft.serving.cut import StopCut


def shown(text: str, stops: list[str], cuts: tuple[int, ...]) -> list[str]:
    """What is shown of a text that ends where a stop string does, given in pieces."""
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    said, cut = text[: min(ends, default=len(text))], StopCut(stops)
    places = [0, *(c for c in cuts if c < len(said)), len(said)]
    pieces = [said[a:b] for a, b in itertools.pairwise(places)]
    found = [*(cut.push(piece) for piece in pieces[:-1]), cut.finish(pieces[-1])]
    assert cut.found == bool(ends)
    return found


CASES = [
    ("hello world", ["world"], "hello "),
    ("hello world", [], "hello world"),
    ("hello wor", ["world"], "hello wor"),
    ("aaab", ["aab"], "a"),
    ("ababac", ["abac"], "ab"),
    ("one\n\ntwo", ["\n\n", "two"], "one"),
    ("xyz", ["xyz"], ""),
]


@pytest.mark.parametrize(("text", "stops", "expected"), CASES)
def test_any_pieces_make_up_the_text_before_the_stop(text: str, stops: list[str], expected: str) -> None:
    for n in range(4):
        for cuts in itertools.combinations(range(1, len(text)), n):
            assert "".join(shown(text, stops, cuts)) == expected


def test_what_cannot_become_a_stop_is_shown_at_once() -> None:
    cut = StopCut(["END"])
    assert [cut.push("so"), cut.push(" E"), cut.push("N"), cut.push("d ")] == ["so", " ", "", "ENd "]
