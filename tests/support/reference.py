"""Slow, plain definitions of tables that the Rust core builds fast."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import torch

from anydraft.proposers.slrs.tables import ClassTables
from anydraft.sampling.rejection import NO_TOKEN

Encode = Callable[[bytes], list[int]]


def class_tables(
    target: Sequence[bytes | None],
    draft: Sequence[bytes | None],
    encode_target: Encode,
    encode_draft: Encode,
    partners: Sequence[tuple[int, int]] = (),
    fallback: Container[int] = (),
) -> ClassTables:
    """The tables of class coupling.

    ``target`` and ``draft``: the bytes of every token by id, ``None`` for control tokens, which never come
    from text. ``encode_*``: the tokenizers, bytes to ids, without control tokens; an empty list where the
    bytes cannot be written. ``partners``: pairs (target id, draft id) of control tokens with the same role.
    ``fallback``: target ids of single bytes, which stand for their bytes only where no other token does.
    """
    ranked = sorted(range(len(target)), key=lambda t: (t in fallback, t), reverse=True)
    by_bytes = {text: t for t in ranked if (text := target[t])}
    roles = {d: t for t, d in partners}
    image = [roles.get(d, by_bytes.get(text or b"", NO_TOKEN)) for d, text in enumerate(draft)]
    rows = [
        [t] if t >= 0 else encode_target(text) if text else [] for t, text in zip(image, draft, strict=True)
    ]

    class_of, merges = [NO_TOKEN] * len(target), {}
    for t, text in enumerate(target):
        written = encode_draft(text) if text else []
        if written and b"".join(draft[d] or b"" for d in written) == text:
            class_of[t] = written[0]
            if len(written) == 2 and by_bytes[text] == t:
                merges[written[0] * len(draft) + written[1]] = t
    for t, d in partners:
        class_of[t] = d
    for same in (
        [[t] for t in image],
        rows,
    ):  # what the draft's tokenizer cannot write, but a draft token can be
        for d, row in enumerate(same):
            for t in row:
                class_of[t] = d if t >= 0 and class_of[t] == NO_TOKEN else class_of[t]

    crossing = [NO_TOKEN] * len(draft)
    rest: list[list[int]] = [[] for _ in draft]
    kept = _crossing_spaces(by_bytes, draft, encode_target, encode_draft)
    for a, t in kept[0].items():
        crossing[a] = t
        merges = {key: u for key, u in merges.items() if u != t}
        class_of[t] = a
    for e, text in enumerate(draft):
        if kept[0] and text and _starts_word(text, kept[1]):
            rest[e] = encode_target(text[1:] if kept[1] > 0 else b" " + text)
    merge_keys = sorted(merges)
    return ClassTables(
        class_of=torch.tensor(class_of),
        image=torch.tensor(image),
        offsets=_offsets(rows),
        ids=_flat(rows),
        merge_keys=torch.tensor(merge_keys, dtype=torch.int64),
        merge_ids=torch.tensor([merges[key] for key in merge_keys], dtype=torch.int64),
        crossing=torch.tensor(crossing),
        rest_offsets=_offsets(rest),
        rest_ids=_flat(rest),
    )


def _crossing_spaces(
    by_bytes: dict[bytes, int], draft: Sequence[bytes | None], encode_target: Encode, encode_draft: Encode
) -> tuple[dict[int, int], int]:
    """Draft token of spaces to the target token in its place before a word; how many spaces longer that is.

    Longer by 1 where the draft leaves a space to the word, by -1 where the target does; the direction is the
    one that more lengths show.
    """
    found: dict[int, dict[int, int]] = {1: {}, -1: {}}
    for a, text in enumerate(draft):
        if not text or text.strip(b" ") or encode_draft(text) != [a]:
            continue
        for longer in found:
            t = by_bytes.get(text + b" " if longer > 0 else text[:-1])
            line = b"a" + text + (b" a" if longer > 0 else b"a")
            if t is not None and encode_draft(line)[1:2] == [a] and encode_target(line)[1:2] == [t]:
                found[longer][a] = t
    longer = 1 if len(found[1]) >= len(found[-1]) else -1
    return found[longer], longer


def _starts_word(text: bytes, longer: int) -> bool:
    return (text[:1] == b" " and text[1:2].strip() != b"") if longer > 0 else text[:1].strip() != b""


def _offsets(rows: list[list[int]]) -> torch.Tensor:
    return torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)


def _flat(rows: list[list[int]]) -> torch.Tensor:
    return torch.tensor([t for row in rows for t in row], dtype=torch.int64)
