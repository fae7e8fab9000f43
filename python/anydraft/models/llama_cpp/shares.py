"""A tree of tokens in parts that llama.cpp can read: each of its paths is a sequence there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Share(NamedTuple):
    """A part of a tree: some of its paths, from the text on, what they share once."""

    tokens: list[int]
    """Tokens of the tree by number, each behind the one before it."""
    paths: list[list[int]]
    """Of each, on which of the part's paths it is, by number; every one of them has a path."""
    depths: list[int]
    """Of each, how many tokens are before it."""
    number: int
    """Number of paths."""

    def kept(self, path: Sequence[int]) -> tuple[int, int]:
        """How much of the beginning of a path comes first here, and on which of the part's paths that is."""
        both = enumerate(zip(path, self.tokens, strict=False))
        length = next((i for i, (ours, first) in both if ours != first), min(len(path), len(self.tokens)))
        return length, self.paths[length - 1][0] if length else 0


def shares(parents: Sequence[int], paths: int, tokens: int) -> list[Share]:
    """A tree, written as its parents, in as few parts as that makes in order.

    Each has at most so many paths, and tokens; but a path that is longer is a part by itself.
    """
    found: list[Share] = []
    part: list[list[int]] = []
    for end in sorted(set(range(len(parents))) - {parent - 1 for parent in parents}):
        path = path_to(parents, end)
        if part and (len(part) == paths or len({*path}.union(*part)) > tokens):
            found.append(_share(part))
            part = []
        part.append(path)
    return [*found, _share(part)] if part else found


def path_to(parents: Sequence[int], token: int) -> list[int]:
    """The tokens of a tree on the way to one of them, by number, itself included."""
    path = [token]
    while parents[path[-1]]:
        path.append(parents[path[-1]] - 1)
    return path[::-1]


def _share(paths: list[list[int]]) -> Share:
    tokens = sorted({token for path in paths for token in path})
    on = [[i for i, path in enumerate(paths) if token in path] for token in tokens]
    depths = [paths[first].index(token) for token, (first, *_) in zip(tokens, on, strict=True)]
    return Share(tokens, on, depths, len(paths))
