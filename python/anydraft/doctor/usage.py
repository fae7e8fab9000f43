"""Overlap weighted by use: which tokens of a text the other side has, and which it lacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.tables import Ids
from anydraft.bridge.text import utf8
from anydraft.doctor.reach import reached
from anydraft.doctor.report import ALL, LostToken, TextUse
from anydraft.doctor.segmentation import Segmentation
from anydraft.doctor.shown import visible
from anydraft.doctor.subject import Subject


@dataclass(frozen=True)
class Cut:
    """One text, cut by both sides."""

    name: str
    bytes: int
    target: Segmentation
    draft: Segmentation


def cut_texts(target: Subject, draft: Subject, texts: dict[str, str]) -> list[Cut]:
    """Every text as both tokenizers cut it."""
    pairs = ((name, utf8(text, f"the text {name!r}")) for name, text in texts.items())
    return [Cut(name, len(data), target.encode(data), draft.encode(data)) for name, data in pairs]


def measure(bridge: Bridge, target: Subject, draft: Subject, cut: Cut) -> TextUse:
    """Count one text."""
    tables = bridge.tables
    both = np.intersect1d(cut.target.ends, cut.draft.ends)
    return TextUse(
        name=cut.name,
        bytes=cut.bytes,
        target_tokens=len(cut.target),
        target_shared=int(has_partner(tables.target_to_draft, cut.target.ids).sum()),
        draft_tokens=len(cut.draft),
        draft_shared=int(has_partner(tables.draft_to_target, cut.draft.ids).sum()),
        common_ends=len(both),
        reach=reached(bridge, target, draft, cut.target, cut.draft),
        target_unwritten=cut.bytes - cut.target.covered,
        draft_unwritten=cut.bytes - cut.draft.covered,
    )


def total(uses: list[TextUse]) -> TextUse:
    """The sum of all rows."""

    def added(field: str) -> int:
        return sum(getattr(use, field) for use in uses)

    return TextUse(
        name=ALL,
        bytes=added("bytes"),
        target_tokens=added("target_tokens"),
        target_shared=added("target_shared"),
        draft_tokens=added("draft_tokens"),
        draft_shared=added("draft_shared"),
        common_ends=added("common_ends"),
        reach={name: sum(use.reach[name] for use in uses) for name in uses[0].reach},
        target_unwritten=added("target_unwritten"),
        draft_unwritten=added("draft_unwritten"),
    )


def has_partner(table: Ids, ids: Ids) -> NDArray[np.bool_]:
    """``[n]``: whether the table has a token in the place of each id."""
    found: NDArray[np.bool_] = table[ids] >= 0
    return found


def lost_tokens(
    table: Ids, cuts: Iterable[Segmentation], one: Subject, other: Subject, *, most: int
) -> list[LostToken]:
    """The ``most`` used tokens of ``one`` for which ``table`` has none of ``other``."""
    ids = np.concatenate([cut.ids[~has_partner(table, cut.ids)] for cut in cuts])
    counts = np.bincount(ids, minlength=1)
    order = np.argsort(-counts, kind="stable")[: min(most, np.count_nonzero(counts))]
    return [_lost(int(token), int(counts[token]), one, other) for token in order]


def _lost(token: int, count: int, one: Subject, other: Subject) -> LostToken:
    data = one.core.bytes(token)
    written = [other.label(i) for i in other.encode(data).ids.tolist()]
    return LostToken(token, visible(data), count, written)
