"""How far each method reaches: the target's tokens it could propose if the draft knew the text.

The draft's own cut of a text is rewritten in target tokens as the method does it; a target token is within
reach if the rewriting has exactly its span. This is a ceiling: what a real draft gets of it depends on its
weights. The string-level method re-encodes the draft's text and so reaches everything but the edge of a
block; it is not counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.tables import Ids
from anydraft.doctor.segmentation import Segmentation, span_keys
from anydraft.doctor.subject import Subject

METHODS = ("tli", "pushforward", "slrs")
"""From the cheapest: each reaches what the one before it does."""


def reached(
    bridge: Bridge, target: Subject, draft: Subject, left: Segmentation, right: Segmentation
) -> dict[str, int]:
    """By method, how many tokens of ``left`` (the target's cut) come out of ``right`` (the draft's)."""
    tables, classes = bridge.tables, bridge.classes
    single = right.keys[tables.draft_to_target[right.ids] >= 0]
    rows = _rewritten(right.ids, right.starts, tables.expansion_offsets, tables.expansion_ids, target.lengths)
    merged = _merged(right, classes.merge_keys, len(draft.core))
    crossing = _crossing(bridge, target, right)
    spans = {
        "tli": single,
        "pushforward": np.concatenate([single, rows]),
        "slrs": np.concatenate([single, rows, merged, crossing]),
    }
    return {name: int(np.isin(left.keys, keys).sum()) for name, keys in spans.items()}


def _rewritten(ids: Ids, starts: Ids, offsets: Ids, rows: Ids, lengths: Ids) -> Ids:
    """The spans of the target tokens in the row of every draft token, one row after the other."""
    counts = offsets[ids + 1] - offsets[ids]
    if not counts.sum():
        return np.zeros(0, np.int64)
    first = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(first, counts)
    sizes = lengths[rows[np.repeat(offsets[ids], counts) + within]]
    ends = np.cumsum(sizes)
    before = np.repeat((ends - sizes)[np.minimum(first, len(sizes) - 1)], counts)
    base = np.repeat(starts, counts)
    return span_keys(base + ends - sizes - before, base + ends - before)


def _merged(cut: Segmentation, keys: Ids, size: int) -> Ids:
    """The spans of two neighbouring draft tokens that together are one target token."""
    found: NDArray[np.bool_] = np.isin(cut.ids[:-1] * size + cut.ids[1:], keys)
    return span_keys(cut.starts[:-1][found], cut.ends[1:][found])


def _crossing(bridge: Bridge, target: Subject, cut: Segmentation) -> Ids:
    """The spans where a space goes over from a token of spaces to the word after it, or back."""
    classes = bridge.classes
    spaces, words = cut.ids[:-1], cut.ids[1:]
    image = classes.crossing[spaces]
    has_rest = classes.rest_offsets[words + 1] > classes.rest_offsets[words]
    found = (image >= 0) & has_rest
    starts, words = cut.starts[:-1][found], words[found]
    middle = starts + target.lengths[image[found]]
    rest = _rewritten(words, middle, classes.rest_offsets, classes.rest_ids, target.lengths)
    return np.concatenate([span_keys(starts, middle), rest])
