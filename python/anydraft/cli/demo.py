"""``anydraft demo``: two small real models with different tokenizers, and every token's origin in colour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.style import Style

from anydraft.cli import options
from anydraft.cli.comparison import summary
from anydraft.cli.loading import Report, Side, load_pair
from anydraft.cli.pieces import PROMPT_STYLE, STYLES, Pieces, heading
from anydraft.cli.plain import decode_plain
from anydraft.cli.terminal import clean_endings, console, error_console, write
from anydraft.streaming import Event, collect

EPILOG = """
**Examples**

    anydraft demo

    anydraft demo "def fib(n):" --max-new-tokens 48

    anydraft demo --swap --temperature 0.8 --method slrs

Accepted tokens, those drawn in place of a rejected one, and those of the target alone each have a colour.
"""

PROMPT = "The capital of France is Paris. The capital of Germany is"

_WARM_UP_TOKENS = 8


def demo(
    prompt: Annotated[str, typer.Argument(help="What to continue.", show_default=False)] = PROMPT,
    *,
    swap: Annotated[
        bool, typer.Option("--swap", help="SmolLM2 is the target and Gemma-3 drafts, instead of the reverse.")
    ] = False,
    no_compare: Annotated[
        bool, typer.Option("--no-compare", help="Leave out plain decoding and the table.")
    ] = False,
    max_new_tokens: options.MaxNewTokens = 96,
    temperature: options.Temperature = 0.0,
    seed: options.Seed = None,
    method: options.Method = "auto",
    rule: options.Rule = None,
    num_draft_tokens: options.NumDraftTokens = 5,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Let SmolLM2-135M-Instruct draft for Gemma-3-270M, then compare with Gemma-3-270M alone.

    Without PROMPT they continue a sentence on capitals. Both models come as packages and run on this machine.
    """
    with clean_endings():
        sides = [_side("gemma3", "Gemma-3-270M"), _side("smollm2", "SmolLM2-135M-Instruct")]
        target, draft = load_pair(
            *(reversed(sides) if swap else sides), dtype="float32", device=device, threads=threads
        )
        from anydraft.speculator import Speculator

        pair = Speculator(
            target.model,
            draft.model,
            target.tokenizer,
            draft.tokenizer,
            method=method,
            rule=rule,
            num_draft_tokens=num_draft_tokens,
        )
        out = console()
        asked: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        with error_console().status("warming up"):
            stream = pair.stream(prompt, **asked)  # wrong options end here, before anything is said
            if not no_compare:
                pair.generate(prompt, max_new_tokens=min(_WARM_UP_TOKENS, max_new_tokens))
        out.print(heading(target.name, draft.name), "\n")
        write(out, prompt, Style.parse(PROMPT_STYLE))
        pieces = Pieces(pair.bridge.target, stream.prompt_ids)
        output = collect(_shown(stream, pieces, out), stream.prompt_ids, stream.stats)
        out.print("\n")
        if output.draft_failure:
            out.print(f"The target went on alone: {output.draft_failure}", style="yellow", markup=False)
        if no_compare or not output.token_ids:
            return
        with error_console().status("the target alone, by transformers' generate") as status:
            plain = decode_plain(
                target,
                stream.prompt_ids,
                **asked,
                report=lambda n: status.update(f"the target alone, by transformers' generate: {n} tokens"),
            )
        out.print(summary(output, plain, method=stream.method, sampled=temperature > 0))


def _side(name: Literal["smollm2", "gemma3"], title: str) -> Side:
    def find(report: Report) -> Path:
        from anydraft.models import files

        return files.packaged(name, report)

    return Side(title, find)


def _shown(events: Iterator[Event], pieces: Pieces, out: Console) -> Iterator[Event]:
    for event in events:
        for piece in pieces.of(event):
            write(out, piece.text, Style.parse(STYLES[piece.origin]))
        yield event
