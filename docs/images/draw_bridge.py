"""Draw how two real tokenizers cut the same bytes, and where they agree.

python docs/images/draw_bridge.py docs/images/bridge.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from drawing import box, line, picture, text

import anydraft
from anydraft.loading.folders import load_tokenizer, packaged

TEXTS = ("def fib(n):\n        return n", "naïve 日本語 🙂")
WIDTH, LEFT = 980, 132


def name(data: bytes) -> str:
    """A token's bytes as they are shown: white space made visible, parts of a character in hex."""
    try:
        said = data.decode()
    except UnicodeDecodeError:
        return data.hex(" ").upper()
    return said.replace(" ", "␣").replace("\n", "⏎")


def segmentation(bridge: anydraft.Bridge, said: str, y: float) -> list[str]:
    """Both segmentations of a text, one above the other, on an axis of bytes."""
    data = said.encode()
    scale = (WIDTH - LEFT - 24) / len(data)
    sides = (bridge.target, "targets", "Gemma-3", y), (bridge.draft, "drafts", "SmolLM2", y + 62)
    parts, ends = [], []
    for tokenizer, kind, who, top in sides:
        stream = anydraft.Retokenizer(tokenizer)
        stream.push(data)
        parts.append(text(24, top + 21, who, f"head {kind.removesuffix('s')}"))
        start = 0
        for token, end in zip(stream.ids(), stream.ends(), strict=True):
            parts.append(box(LEFT + scale * start + 1.5, top, scale * (end - start) - 3, 32, kind, 4))
            shown, middle = name(tokenizer.bytes(token)), LEFT + scale * (start + end) / 2
            parts.append(text(middle, top + 21, shown, "mono", "middle"))
            start = end
        ends.append(stream.ends())
    for end, _, _ in anydraft.common_boundaries(*ends):
        x = LEFT + scale * end
        parts.append(line([(x, y - 7), (x, y + 101)]))
    return parts


def draw() -> str:
    """The picture as SVG."""
    bridge = anydraft.Bridge(load_tokenizer(packaged("gemma3")), load_tokenizer(packaged("smollm2")))
    parts = [
        *segmentation(bridge, TEXTS[0], 34),
        *segmentation(bridge, TEXTS[1], 174),
        text(
            24,
            304,
            "As wide as their bytes. A line is a boundary that both have; ␣ is a space, ⏎ a line end,",
            "dim",
        ),
        text(
            24,
            324,
            "hex digits are part of a character. Between two lines the same bytes stand above each other.",
            "dim",
        ),
    ]
    return picture(WIDTH, 344, "Two tokenizers, the same bytes, common boundaries", parts)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
