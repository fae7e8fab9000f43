"""Draw one round: from the draft's tokens to committed text and back.

python docs/images/draw_round.py docs/images/round.svg
"""

from __future__ import annotations

import sys

from drawing import NARROW, WIDE, arrow, box, keep, picture, text

TOKEN, GAP = 42, 6
TITLE = "One round: draft, cross as bytes, verify in one pass, commit, splice"
DRAFTED, READ = [f"d{i}" for i in range(1, 6)], [f"t{i}" for i in range(1, 5)]
JUDGED = ["t1", "t2", "t3", "t4", "t'"], ["accepteds"] * 2 + ["rejecteds"] * 2 + ["accepteds"]


def tokens(x: float, y: float, names: list[str], kinds: list[str]) -> list[str]:
    """Tokens in a row."""
    parts = []
    for i, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        left = x + i * (TOKEN + GAP)
        parts += [box(left, y, TOKEN, 28, kind), text(left + TOKEN / 2, y + 19, name, anchor="middle")]
    return parts


def station(x: float, y: float, width: float, name: str, said: str, height: float = 62) -> list[str]:
    """A box with a name, and what it does."""
    middle = x + width / 2
    return [
        box(x, y, width, height, "box", 8),
        text(middle, y + 26, name, "head", "middle"),
        text(middle, y + 46, said, "dim", "middle"),
    ]


def wide() -> str:
    """From left to right and back."""
    parts = [
        text(24, 34, "In the draft's tokens", "head draft"),
        text(WIDE - 24, 34, "In the target's tokens", "head target", "end"),
        *station(40, 66, 170, "Draft model", "a few cheap passes"),
        arrow([(210, 97), (244, 97)]),
        *tokens(250, 83, DRAFTED, ["drafts"] * 5),
        arrow([(494, 97), (606, 97)]),
        text(550, 86, "as bytes", "dim", "middle"),
        *tokens(612, 83, READ, ["targets"] * 4),
        arrow([(705, 117), (705, 150)]),
        *station(610, 156, 190, "Target model", "one pass over all"),
        text(816, 184, "its law at", "dim"),
        text(816, 202, "every place", "dim"),
        arrow([(705, 218), (705, 250)]),
        *tokens(612, 256, *JUDGED),
        text(657, 304, "accepted", "accepted", "middle"),
        text(729, 304, "rejected", "dim", "middle"),
        text(804, 304, "drawn instead", "accepted"),
        arrow([(606, 270), (494, 270)]),
        text(550, 259, "as bytes", "dim", "middle"),
        *station(250, 239, 238, "Splice", "keep n ids, append these"),
        arrow([(250, 270), (125, 270), (125, 134)]),
        text(134, 214, "the same text,", "dim"),
        text(134, 232, "its own tokens", "dim"),
        text(
            24,
            352,
            "Committed target ids are only ever appended to. A rejection is a splice like any other.",
            "dim",
        ),
        text(
            24,
            374,
            "t' comes from the target itself: what it has above the proposal, so its law is kept.",
            "dim",
        ),
    ]
    return picture(WIDE, 400, TITLE, parts)


def narrow() -> str:
    """From above to below, and back on the right."""
    said = (
        "Committed target ids are only ever appended to.",
        "A rejection is a splice like any other.",
        "t' comes from the target itself: what it has",
        "above the proposal, so its law is kept.",
    )
    parts = [
        text(20, 32, "In the draft's tokens", "head draft"),
        *station(112, 46, 188, "Draft model", "a few cheap passes"),
        arrow([(206, 108), (206, 133)]),
        *tokens(89, 138, DRAFTED, ["drafts"] * 5),
        arrow([(220, 170), (220, 233)]),
        text(210, 192, "as bytes", "dim", "end"),
        text(20, 222, "In the target's tokens", "head target"),
        *tokens(113, 238, READ, ["targets"] * 4),
        arrow([(206, 270), (206, 292)]),
        *station(84, 296, 244, "Target model", "one pass: its law at every place"),
        arrow([(206, 358), (206, 382)]),
        *tokens(89, 386, *JUDGED),
        text(134, 432, "accepted", "accepted", "middle"),
        text(230, 432, "rejected", "dim", "middle"),
        text(328, 450, "drawn instead", "accepted", "end"),
        arrow([(183, 418), (183, 478)]),
        text(173, 466, "as bytes", "dim", "end"),
        *station(84, 482, 244, "Splice", "keep n ids, append these"),
        arrow([(328, 513), (350, 513), (350, 77), (300, 77)]),
        text(342, 192, "the same text,", "dim", "end"),
        text(342, 210, "its own tokens", "dim", "end"),
        *(text(20, 574 + 20 * i, words, "dim") for i, words in enumerate(said)),
    ]
    return picture(NARROW, 652, TITLE, parts)


if __name__ == "__main__":
    keep(sys.argv[1], wide(), narrow())
