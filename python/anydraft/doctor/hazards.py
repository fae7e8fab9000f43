"""What can go wrong with a tokenizer or with a pair, and what only looks as if it could."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from anydraft.bridge.bridge import Bridge
from anydraft.doctor.report import Hazard, Severity, Who
from anydraft.doctor.shown import visible
from anydraft.doctor.subject import Subject, own_ids
from anydraft.doctor.usage import Cut


def find_hazards(
    bridge: Bridge, target: Subject, draft: Subject, texts: dict[str, str], cuts: list[Cut]
) -> list[Hazard]:
    """Everything found, the worst first."""
    found: list[Hazard] = []
    sides: tuple[tuple[Who, Subject], ...] = ("target", target), ("draft", draft)
    for who, subject in sides:
        checks = (
            _rows(subject),
            _bytes(subject),
            _vocabulary(subject),
            _round_trips(subject, who, texts, cuts),
        )
        for check in checks:
            found += [Hazard(who, *said) for said in check]
    found += [Hazard("draft", *said) for said in _pair(bridge, target, draft)]
    order = ("fatal", "warning", "note")
    return sorted(found, key=lambda hazard: order.index(hazard.severity))


_Said = tuple[Severity, str, str]


def _rows(subject: Subject) -> Iterator[_Said]:
    rows, ids = subject.facts.rows, len(subject.core)
    if rows is not None and rows < ids:
        yield (
            "fatal",
            "fewer rows than ids",
            f"The model has {rows} logits and the tokenizer {ids} ids. Is it the model's own tokenizer, or "
            "were tokens added to it without model.resize_token_embeddings?",
        )
    if subject.without_rows:
        yield (
            "note",
            "added tokens without rows",
            f"The last {subject.without_rows} ids are added tokens that the model has no row for. They are "
            "left out; a prompt must not have them.",
        )
    if rows is not None and rows > ids:
        yield (
            "note",
            "padded rows",
            f"{rows - ids} of the model's {rows} rows belong to no token. They are never proposed.",
        )


def _bytes(subject: Subject) -> Iterator[_Said]:
    core = subject.core
    if core.string_lossy:
        yield (
            "warning",
            "normal form dropped",
            "The tokenizer itself rewrites text into a Unicode normal form; here text is encoded as it is, "
            "byte for byte, so that nothing is lost.",
        )
    if core.missing_bytes:
        listed = " ".join(f"{byte:02X}" for byte in core.missing_bytes)
        yield (
            "warning",
            "bytes without a token",
            f"It has no token for the bytes {listed}: characters that need one cannot be written.",
        )
    if core.dummy_prefix:
        yield (
            "note",
            "a space before the first word",
            "It puts a space before a text. A prompt is encoded so; what follows is not affected.",
        )


def _vocabulary(subject: Subject) -> Iterator[_Said]:
    doubles = len([token for token in subject.token_bytes if token])
    doubles -= len({token for token in subject.token_bytes if token})
    if doubles:
        yield (
            "note",
            "tokens with equal bytes",
            f"{doubles} tokens write what another one does. The one that the tokenizer uses stands for all.",
        )
    added = [i for i in range(len(subject.core)) if subject.core.kind(i) == "added"]
    if added:
        names = ", ".join(visible(subject.core.bytes(i)) for i in added[:4]) + (", …" if added[4:] else "")
        yield (
            "note",
            "added tokens in plain text",
            f"Text that reads like one of its {len(added)} added tokens ({names}) becomes that token, before "
            "anything else is cut.",
        )
    kinds = [subject.core.kind(i) for i in np.flatnonzero(subject.lengths == 0).tolist()]
    if unused := kinds.count("unused"):
        yield "note", "unused ids", f"{unused} ids stand for nothing. They are never proposed."


def _round_trips(subject: Subject, who: Who, texts: dict[str, str], cuts: list[Cut]) -> Iterator[_Said]:
    respelled, broken, unwritten = [], [], 0
    for cut in cuts:
        ids = (cut.target if who == "target" else cut.draft).ids.tolist()
        data = texts[cut.name].encode()
        written = subject.core.decode(ids)
        if len(written) < len(data):
            unwritten += len(data) - len(written)
        elif written != data:
            broken.append(cut.name)
        expected = subject.encode(b" " + data).ids.tolist() if subject.core.dummy_prefix else ids
        if own_ids(subject, texts[cut.name]) != expected:
            respelled.append(cut.name)
    if broken:
        yield "fatal", "broken round trip", f"Encoded and decoded, {_and(broken)} came back changed."
    if unwritten:
        yield (
            "warning",
            "text that cannot be written",
            f"{unwritten} bytes of the sample text have no tokens; the model never sees these characters.",
        )
    if respelled and not unwritten:
        yield (
            "note",
            "spelled in another way",
            f"The tokenizer itself spells {_and(respelled)} with other tokens: it takes a normal form, or "
            "reads a control token's name as that token. Prompts are encoded by the tokenizer "
            "itself; what is said after them byte for byte.",
        )


def _pair(bridge: Bridge, target: Subject, draft: Subject) -> Iterator[_Said]:
    windows = target.facts.window, draft.facts.window
    if windows[0] and windows[1] and windows[1] < windows[0]:
        yield (
            "warning",
            "shorter window",
            f"The draft holds {windows[1]} tokens, the target {windows[0]}. Beyond that the draft reads only "
            "the end of the text.",
        )
    tables = bridge.tables
    rows = np.diff(tables.expansion_offsets)
    unreadable = int(((rows == 0) & (draft.lengths > 0) & (tables.draft_to_target < 0)).sum())
    if unreadable:
        yield (
            "note",
            "draft tokens that the target cannot write",
            f"{unreadable} tokens of the draft have bytes that the target has no tokens for. They are never "
            "proposed.",
        )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
