"""``anydraft demo``: a real model and a draft with another tokenizer, and every token's origin in colour."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.style import Style

from anydraft.cli import options
from anydraft.cli.comparison import summary
from anydraft.cli.loading import Loaded, Report, Side, load_one, load_pair
from anydraft.cli.pair import packaged_draft
from anydraft.cli.pieces import PROMPT_STYLE, STYLES, Pieces, heading
from anydraft.cli.plain import decode_plain
from anydraft.cli.terminal import clean_endings, console, error_console, write
from anydraft.decoding.events import Event, collect
from anydraft.errors import ArgumentError

EPILOG = """
**Examples**

    anydraft demo

    anydraft demo "def fib(n):" --max-new-tokens 48

    anydraft demo --draft smollm2 --swap --temperature 0.8 --method slrs

Accepted tokens, those drawn in place of a rejected one, and those of the target alone each have a colour.
"""

PROMPT = "def longest_word(sentence):"

_WARM_UP_TOKENS = 24
"""Enough to measure the pass times by which the length of a draft is chosen."""

_FIXED = 5
"""Draft tokens of the two models: the demo shows a draft also where none would pay."""


def demo(
    prompt: Annotated[str, typer.Argument(help="What to continue.", show_default=False)] = PROMPT,
    *,
    draft: Annotated[
        Literal["tiny", "smollm2"],
        typer.Option(
            help="tiny: the draft that comes with anydraft, for SmolLM2-135M-Instruct; "
            "smollm2: SmolLM2-135M-Instruct, for Gemma-3-270M."
        ),
    ] = "tiny",
    swap: Annotated[
        bool, typer.Option("--swap", help="With --draft smollm2: SmolLM2 is the target and Gemma-3 drafts.")
    ] = False,
    no_compare: Annotated[
        bool, typer.Option("--no-compare", help="Leave out plain decoding and the table.")
    ] = False,
    max_new_tokens: options.MaxNewTokens = 96,
    temperature: options.Temperature = 0.0,
    seed: options.Seed = None,
    method: options.Method = "auto",
    rule: options.Rule = None,
    num_draft_tokens: options.DraftTokens = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Let a tiny draft speed up SmolLM2-135M-Instruct, then compare with SmolLM2-135M-Instruct alone.

    Models come as packages and run on this machine. With `--draft smollm2` two models of different families
    take part, SmolLM2 as the draft of Gemma-3: the text is right there too, but on a CPU it is not faster.
    """
    with clean_endings():
        if swap and draft == "tiny":
            raise ArgumentError("got --swap without two models to swap; expected --draft smollm2 --swap")
        target, small = _tiny(device, threads) if draft == "tiny" else _two(device, threads, swap=swap)
        from anydraft.speculator import Speculator

        pair = Speculator(
            target.model,
            small.model,
            target.tokenizer,
            small.tokenizer,
            method=method,
            rule=rule,
            num_draft_tokens=num_draft_tokens or ("auto" if draft == "tiny" else _FIXED),
        )
        out = console()
        asked: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        with error_console().status("warming up"):
            stream = pair.stream(prompt, **asked)  # wrong options end here, before anything is said
            if not no_compare:
                pair.generate(prompt, max_new_tokens=min(_WARM_UP_TOKENS, max_new_tokens))
        out.print(heading(target.name, small.name), "\n")
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


def _tiny(device: str, threads: int | None) -> tuple[Loaded, Loaded]:
    target = load_one(_SMOLLM2, dtype="float32", device=device, threads=threads)
    return target, packaged_draft(target)


def _two(device: str, threads: int | None, *, swap: bool) -> tuple[Loaded, Loaded]:
    sides = (_SMOLLM2, _GEMMA3) if swap else (_GEMMA3, _SMOLLM2)
    target, draft = load_pair(*sides, dtype="float32", device=device, threads=threads)
    return target, draft


def _side(name: Literal["smollm2", "gemma3"], title: str) -> Side:
    def find(report: Report) -> Path:
        from anydraft.loading import folders

        return folders.packaged(name, report)

    return Side(title, find)


_SMOLLM2, _GEMMA3 = _side("smollm2", "SmolLM2-135M-Instruct"), _side("gemma3", "Gemma-3-270M")


def _shown(events: Iterator[Event], pieces: Pieces, out: Console) -> Iterator[Event]:
    for event in events:
        for piece in pieces.of(event):
            write(out, piece.text, Style.parse(STYLES[piece.origin]))
        yield event
