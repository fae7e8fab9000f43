"""Draw the picture of the README from a real run: ``make picture``.

The steps are those of ``anydraft demo``; only the line breaks of the text are the picture's own.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from anydraft import Speculator, drafts
from anydraft.cli.comparison import summary
from anydraft.cli.demo import PROMPT
from anydraft.cli.loading import Loaded
from anydraft.cli.pieces import PROMPT_STYLE, STYLES, Pieces, heading
from anydraft.cli.turns import Turns
from anydraft.decoding.events import collect
from anydraft.loading.folders import load_model, load_tokenizer, packaged

TOKENS = 72
WIDTH = 84


def load(name: str, title: str) -> Loaded:
    """A packaged model."""
    path = packaged(name)  # type: ignore[arg-type]
    return Loaded(title, load_model(path), load_tokenizer(path))


def main(picture: Path) -> None:
    """Run, compare, draw."""
    target, draft = load("smollm2", "SmolLM2-135M-Instruct"), Loaded("the tiny draft", *drafts.load("tiny"))
    pair = Speculator(target.model, draft.model, target.tokenizer, draft.tokenizer, memory="off")
    turns = Turns(pair, target, PROMPT, {"max_new_tokens": TOKENS, "temperature": 0.0, "seed": None})
    turns.warm_up()
    stream = pair.stream(PROMPT, max_new_tokens=TOKENS)
    pieces = Pieces(pair.bridge.target, stream.prompt_ids)
    said = Text().append(PROMPT, PROMPT_STYLE)
    events = []
    for event in stream:
        events.append(event)
        for piece in pieces.of(event):
            said.append(piece.text, STYLES[piece.origin])
    output = collect(events, stream.prompt_ids, stream.stats)
    three = turns.taken(output, lambda _: None)
    out = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    out.print("[bold]$[/] anydraft demo")
    out.print(heading(target.name, draft.name), "\n")
    out.print(said, "\n")
    out.print(summary(three, method=stream.method, sampled=False))
    # The fonts of rich's picture would be fetched from another site; the reader's own will do.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", out.export_svg(title="anydraft"), flags=re.DOTALL)
    picture.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
