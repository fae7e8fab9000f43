"""Draw how two real tokenizers cut the same bytes, and where they agree.

python docs/images/draw_bridge.py docs/images/bridge.svg
"""

from __future__ import annotations

import sys

from drawing import NARROW, WIDE, box, keep, line, picture, text

import anydraft
from anydraft.loading.folders import load_tokenizer, packaged

TEXTS = ("def fib(n):\n        return n", "naïve 日本語 🙂")
SAID = {
    False: (
        "As wide as their bytes. A line is a boundary that both have; ␣ is a space, ⏎ a line end,",
        "hex digits are part of a character. Between two lines the same bytes stand above each other.",
    ),
    True: (
        "As wide as their bytes. A line is a boundary",
        "that both have; ␣ is a space, ⏎ a line end, hex",
        "digits are part of a character. Between two lines",
        "the same bytes stand above each other.",
    ),
}


def name(data: bytes) -> str:
    """A token's bytes as they are shown: white space made visible, parts of a character in hex."""
    try:
        said = data.decode()
    except UnicodeDecodeError:
        return data.hex(" ").upper()
    return said.replace(" ", "␣").replace("\n", "⏎")


def segmentation(bridge: anydraft.Bridge, said: str, y: float, *, narrow: bool) -> list[str]:
    """Both segmentations of a text, one above the other, on an axis of bytes."""
    data = said.encode()
    left, width = (16, NARROW - 32) if narrow else (132, WIDE - 156)
    scale = width / len(data)
    sides = (bridge.target, "targets", "Gemma-3", y), (bridge.draft, "drafts", "SmolLM2", y + 62)
    parts, ends = [], []
    for tokenizer, kind, who, top in sides:
        stream = anydraft.Retokenizer(tokenizer)
        stream.push(data)
        at = (16, y - 12 if kind == "targets" else y + 120) if narrow else (24, top + 21)
        parts.append(text(*at, who, f"head {kind.removesuffix('s')}"))
        start = 0
        for token, end in zip(stream.ids(), stream.ends(), strict=True):
            space = scale * (end - start) - 3
            parts.append(box(left + scale * start + 1.5, top, space, 32, kind, 4))
            shown, middle = name(tokenizer.bytes(token)), left + scale * (start + end) / 2
            fits = 8.4 * len(shown) <= space + 1
            parts.append(text(middle, top + 21, shown, "mono" if fits else "mono small", "middle"))
            start = end
        ends.append(stream.ends())
    for end, _, _ in anydraft.common_boundaries(*ends):
        x = left + scale * end
        parts.append(line([(x, y - 7), (x, y + 101)]))
    return parts


def draw(*, narrow: bool) -> str:
    """The picture as SVG."""
    bridge = anydraft.Bridge(load_tokenizer(packaged("gemma3")), load_tokenizer(packaged("smollm2")))
    first, second, below = (44, 212, 370) if narrow else (34, 174, 304)
    parts = [
        *segmentation(bridge, TEXTS[0], first, narrow=narrow),
        *segmentation(bridge, TEXTS[1], second, narrow=narrow),
        *(text(16 if narrow else 24, below + 20 * i, words, "dim") for i, words in enumerate(SAID[narrow])),
    ]
    size = (NARROW, 448) if narrow else (WIDE, 344)
    return picture(*size, "Two tokenizers, the same bytes, common boundaries", parts)


if __name__ == "__main__":
    keep(sys.argv[1], draw(narrow=False), draw(narrow=True))
