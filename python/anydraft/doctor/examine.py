"""The whole examination of a pair, and of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from anydraft.bridge.bridge import Bridge
from anydraft.doctor import samples
from anydraft.doctor.control import bridge_of, examine_control
from anydraft.doctor.false_friends import compare_strings
from anydraft.doctor.hazards import find_hazards
from anydraft.doctor.report import (
    LEVELS,
    Memory,
    Overlap,
    Picture,
    PictureBlock,
    Refusal,
    Report,
    Side,
)
from anydraft.doctor.segmentation import Segmentation, common_blocks
from anydraft.doctor.subject import Subject
from anydraft.doctor.usage import cut_texts, lost_tokens, measure, total
from anydraft.doctor.verdict import judge
from anydraft.errors import ArgumentError

Finding: TypeAlias = Report | Refusal

LONGEST = 16
"""Tokens of more bytes are counted together."""


def examine(
    target: Subject, draft: Subject, texts: dict[str, str] | None = None, *, most: int = 12
) -> Report:
    """Everything that two tokenizers and the files beside them tell about a pair; no weights are needed.

    ``texts``: name to text, to weigh overlap by; without any, those that come with the package. ``most``: how
    many lost tokens and false friends to list. Takes some tenths of a second for large vocabularies.

    Raises:
        ArgumentError: a text that is empty, or ``most`` below 0.
    """
    texts = samples.bundled() if texts is None else texts
    if not texts or not all(texts.values()):
        raise ArgumentError("got no text, or an empty one; expected some text to weigh tokens by")
    if most < 0:
        raise ArgumentError(f"got most={most}; expected 0 or more")
    bridge = bridge_of(target, draft)
    cuts = cut_texts(target, draft, texts)
    uses = [measure(bridge, target, draft, cut) for cut in cuts]
    together = total(uses)
    overlap = _overlap(bridge)
    hazards = find_hazards(bridge, target, draft, texts, cuts)
    lost = lost_tokens(bridge.tables.target_to_draft, [cut.target for cut in cuts], target, draft, most=most)
    foreign = lost_tokens(
        bridge.tables.draft_to_target, [cut.draft for cut in cuts], draft, target, most=most
    )
    return Report(
        target=_side(target, [cut.target for cut in cuts]),
        draft=_side(draft, [cut.draft for cut in cuts]),
        overlap=overlap,
        strings=compare_strings(bridge, target, draft, cuts, most=most),
        texts=[*uses, together],
        lost=lost,
        foreign=foreign,
        control=examine_control(bridge, target, draft),
        hazards=hazards,
        memory=Memory(bridge.tables.nbytes, sum(array.nbytes for array in bridge.classes.arrays().values())),
        picture=picture(target, draft, samples.PICTURE.encode()),
        verdict=judge(overlap, together, hazards),
    )


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Best first: by verdict, then by how far the best method reaches, then by fewer draft tokens."""

    def rank(finding: Finding) -> tuple[int, float, float]:
        level = LEVELS.index(finding.verdict.level)
        if isinstance(finding, Refusal):
            return level, 0.0, 0.0
        best = max(map(finding.total.reached, finding.total.reach))
        return level, -round(best, 3), finding.total.draft_per_target

    return sorted(findings, key=rank)


def picture(target: Subject, draft: Subject, text: bytes) -> Picture:
    """A text cut by both, as visible tokens."""
    left, right = target.encode(text), draft.encode(text)
    ours = [target.label(i) for i in left.ids.tolist()]
    theirs = [draft.label(i) for i in right.ids.tolist()]
    return Picture(
        [
            PictureBlock(ours[b.target.start : b.target.stop], theirs[b.draft.start : b.draft.stop], b.common)
            for b in common_blocks(left, right)
        ]
    )


def _overlap(bridge: Bridge) -> Overlap:
    found = bridge.coverage()
    return Overlap(
        shared=found.shared,
        target_tokens=found.target_tokens,
        target_shared=found.target_shared,
        draft_tokens=found.draft_tokens,
        draft_shared=found.draft_shared,
    )


def _side(subject: Subject, cuts: Sequence[Segmentation]) -> Side:
    lengths = subject.lengths[np.concatenate([cut.ids for cut in cuts])]
    counts = np.bincount(np.minimum(lengths, LONGEST + 1), minlength=LONGEST + 2)
    return Side(
        name=subject.name,
        ids=len(subject.core),
        text_tokens=int(np.count_nonzero(subject.lengths)),
        control_tokens=len(subject.core.special_tokens),
        surface=subject.core.surface,
        fingerprint=subject.core.fingerprint,
        rows=subject.facts.rows,
        window=subject.facts.window,
        sliding_window=subject.facts.sliding_window,
        rollback=subject.facts.rollback,
        bytes=subject.facts.bytes,
        lengths=counts[1:].tolist(),
    )
