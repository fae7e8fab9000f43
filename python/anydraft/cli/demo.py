"""``anydraft demo``: two small real models with different tokenizers, and every token's origin in colour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.style import Style
from rich.text import Text

from anydraft.cli import comparison, options
from anydraft.cli.loading import Loaded, Report, Side, load_pair
from anydraft.cli.pieces import MEANINGS, STYLES, Pieces
from anydraft.cli.plain import Plain, decode_plain
from anydraft.cli.terminal import clean_endings, console, error_console, write
from anydraft.streaming import Event, Output, collect

PROMPT = "def fibonacci(n):\n"

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
    rule: options.Rule = "block",
    num_draft_tokens: options.NumDraftTokens = 5,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Let SmolLM2-135M-Instruct draft for Gemma-3-270M, then compare with Gemma-3-270M alone.

    The default prompt is the first line of a Python function. Both models come as packages and run on this
    machine.
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
        _head(out, target, draft, prompt)
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
        _compare(out, output, plain, method=method, sampled=temperature > 0)


def _side(name: Literal["smollm2", "gemma3"], title: str) -> Side:
    def find(report: Report) -> Path:
        from anydraft.models import files

        return files.packaged(name, report)

    return Side(title, find)


def _head(out: Console, target: Loaded, draft: Loaded, prompt: str) -> None:
    out.print(Text.assemble((target.name, "bold"), " speaks, ", (draft.name, "bold"), " drafts."))
    for origin, style in STYLES.items():
        out.print(Text.assemble("  ", (f"{origin:<10}", style), MEANINGS[origin]))
    out.print()
    write(out, prompt, Style.parse("dim"))


def _shown(events: Iterator[Event], pieces: Pieces, out: Console) -> Iterator[Event]:
    for event in events:
        for piece in pieces.of(event):
            write(out, piece.text, Style.parse(STYLES[piece.origin]))
        yield event


def _compare(out: Console, output: Output, plain: Plain, *, method: str, sampled: bool) -> None:
    out.print(comparison.table(output, plain, method=method, sampled=sampled))
    out.print(comparison.meaning(output, plain))
    if sampled:
        out.print(
            "Two samples of one law need not be equal, so there is no yes or no; the law is tested in "
            "tests/test_lossless_enumeration.py."
        )
