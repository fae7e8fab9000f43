"""Whether tables that come from a file are tables at all: a checksum says nothing of who has written it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from anydraft.bridge.tables import MISSING, Ids


def fault(
    arrays: Mapping[str, Ids], to_target: list[tuple[int, int]], to_draft: list[tuple[int, int]]
) -> str | None:
    """What is wrong with the tables of a bridge and its pairs of control tokens; ``None``: nothing.

    Every id that is found in them is one of the side that it is for, so that none leads outside a table or a
    law. Whether a token stands for the one named is seen when the tokenizers are read, but not of the
    tables of class coupling, which would have to be built again. They change no law as long as they do not
    contradict each other: see :func:`contradiction`.
    """
    for name, array in arrays.items():
        if array.dtype != np.int64 or array.ndim != 1:
            return f"{name} is {array.dtype} of shape {list(array.shape)}; expected int64 [n]"
    drafts, targets = len(arrays["draft_to_target"]), len(arrays["target_to_draft"])
    lengths = {
        "expansion_offsets": drafts + 1,
        "class_of": targets,
        "merge_ids": len(arrays["merge_keys"]),
        "crossing": drafts,
        "rest_offsets": drafts + 1,
    }
    for name, length in lengths.items():
        if len(arrays[name]) != length:
            return f"{name} has {len(arrays[name])} entries; expected {length}"
    ranges = {
        "draft_to_target": (MISSING, targets),
        "target_to_draft": (MISSING, drafts),
        "expansion_ids": (0, targets),
        "class_of": (MISSING, drafts),
        "merge_keys": (0, drafts * drafts),
        "merge_ids": (0, targets),
        "crossing": (MISSING, targets),
        "rest_ids": (0, targets),
    }
    for name, (low, end) in ranges.items():
        array = arrays[name]
        if array.size and not low <= int(array.min()) <= int(array.max()) < end:
            return f"{name} has entries from {array.min()} to {array.max()}; expected {low} to {end - 1}"
    for offsets, ids in (("expansion_offsets", "expansion_ids"), ("rest_offsets", "rest_ids")):
        array = arrays[offsets]
        if array[0] != 0 or array[-1] != len(arrays[ids]) or bool((np.diff(array) < 0).any()):
            return f"{offsets} does not ascend from 0 to {len(arrays[ids])}, the number of {ids}"
    for pairs, sizes in ((to_target, (drafts, targets)), (to_draft, (targets, drafts))):
        for pair in pairs:
            if not all(0 <= token < size for token, size in zip(pair, sizes, strict=True)):
                return f"the control tokens {pair[0]} and {pair[1]} are not both ids"
    classes = ("class_of", "merge_keys", "merge_ids", "crossing")
    return contradiction(arrays["draft_to_target"], *(arrays[name] for name in classes))


def contradiction(image: Ids, class_of: Ids, merge_keys: Ids, merge_ids: Ids, crossing: Ids) -> str | None:
    """What tables of class coupling say against each other; ``None``: nothing, so drafting by them is exact.

    Each target token that they name is of the class that they name it for, and named once: where the next
    draft token decides which member of a class is proposed, it must be possible to tell from the member what
    was decided. All are as in ``proposers.slrs.tables``; ids are in their ranges.
    """
    size = len(image)
    if bool((np.diff(merge_keys) <= 0).any()):
        return "merge_keys must ascend strictly; sort them, one entry a pair"
    crossed = np.flatnonzero(crossing >= 0)
    for name, tokens, drafts in (
        ("merge_ids", merge_ids, merge_keys // size),
        ("crossing", crossing[crossed], crossed),
    ):
        wrong = np.flatnonzero(class_of[tokens] != drafts)
        if len(wrong):
            token, draft = int(tokens[wrong[0]]), int(drafts[wrong[0]])
            return (
                f"{name} has target token {token} for draft token {draft}, but its class is "
                f"{int(class_of[token])}; leave it out, or make {draft} its class"
            )
    owners = np.flatnonzero(image >= 0)
    owned = image[owners][class_of[image[owners]] == owners]
    named, counts = np.unique(np.concatenate([owned, merge_ids, crossing[crossed]]), return_counts=True)
    if bool((counts > 1).any()):
        return f"target token {int(named[counts > 1][0])} is named in two ways; leave one out"
    return None
