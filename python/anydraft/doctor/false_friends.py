"""What a map by vocabulary strings gets wrong: equal strings with different bytes, and partners missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.tables import Ids
from anydraft.doctor.report import FalseFriend, Strings
from anydraft.doctor.segmentation import Segmentation
from anydraft.doctor.shown import visible
from anydraft.doctor.subject import Subject
from anydraft.doctor.usage import Cut

_SPACES = {"sentencepiece": ("▁", "Ġ"), "byte-level": ("Ġ", "▁")}
"""How each kind of vocabulary writes a space, and how the other does: maps by strings know that much."""


def compare_strings(
    bridge: Bridge, target: Subject, draft: Subject, cuts: Sequence[Cut], *, most: int
) -> Strings:
    """Compare two vocabularies by their strings and hold that against their bytes.

    Two strings are equal if they are the same, or would be if both wrote spaces with one sign. A control
    token differs from every text. ``most``: how many false friends to list, those that ``cuts`` use most
    before others.
    """
    equal = wrong = 0
    agreeing: set[int] = set()
    friends: list[tuple[int, int, FalseFriend]] = []
    used = _counts(target, [cut.target for cut in cuts]), _counts(draft, [cut.draft for cut in cuts])
    for string, t, d in _equal_strings(target, draft):
        equal += 1
        ours, theirs = target.token_bytes[t], draft.token_bytes[d]
        if ours != theirs:
            wrong += 1
            friend = FalseFriend(string, t, _meaning(target, t), d, _meaning(draft, d))
            friends.append((-int(used[0][t] + used[1][d]), t, friend))
        elif ours:
            agreeing.add(t)
    friends.sort(key=lambda entry: entry[:2])
    missed = bridge.coverage().target_shared - len(agreeing)
    return Strings(equal, wrong, missed, [friend for *_, friend in friends[:most]])


def _equal_strings(target: Subject, draft: Subject) -> Iterator[tuple[str, int, int]]:
    strings = draft.strings
    signs = _SPACES[target.core.surface] if target.core.surface != draft.core.surface else None
    for string, t in target.strings.items():
        for name in {string, string.replace(*signs)} if signs else (string,):
            d = strings.get(name)
            if d is not None:
                yield string, t, d


def _counts(subject: Subject, cuts: Sequence[Segmentation]) -> Ids:
    return np.bincount(np.concatenate([cut.ids for cut in cuts]), minlength=len(subject.core))


def _meaning(subject: Subject, token: int) -> str:
    data = subject.token_bytes[token]
    return visible(data) if data else f"({subject.core.kind(token)})"
