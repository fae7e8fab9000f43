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
from anydraft.cli.loading import Loaded, Side, check_sampling, load_one, load_pair
from anydraft.cli.pair import packaged_draft
from anydraft.cli.pieces import PROMPT_STYLE, STYLES, Pieces, heading
from anydraft.cli.terminal import clean_endings, console, write
from anydraft.cli.turns import Turns
from anydraft.cli.waiting import Report, waiting
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


def demo(
    prompt: Annotated[str, typer.Argument(help="What to continue.", show_default=False)] = PROMPT,
    *,
    draft: Annotated[
        Literal["tiny", "smollm2"],
        typer.Option(
            help="tiny: the draft that comes with anydraft, for SmolLM2-135M-Instruct; "
            "smollm2: SmolLM2-135M-Instruct, for the base model Gemma-3-270M."
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
    """Let a draft speed up a real model, beside transformers' generate and our own loop without a draft.

    Models come as packages and run on this machine: the tiny draft for SmolLM2-135M-Instruct. With
    `--draft smollm2` two models of different families take part, SmolLM2 as the draft of the base model
    Gemma-3-270M: half as large, it pays only where much of what it drafts is accepted. All three take turns,
    twice.
    """
    with clean_endings():
        if swap and draft == "tiny":
            raise ArgumentError("got --swap without two models to swap; expected --draft smollm2 --swap")
        asked: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        check_sampling(asked)
        target, small = _tiny(device, threads) if draft == "tiny" else _two(device, threads, swap=swap)
        from anydraft.speculator import Speculator

        pair = Speculator(
            target.model,
            small.model,
            target.tokenizer,
            small.tokenizer,
            method=method,
            rule=rule,
            num_draft_tokens=num_draft_tokens or "auto",
            memory="off",  # it has said the same before, to warm up
        )
        turns = Turns(pair, target, prompt, asked)
        out = console()
        with waiting("warming up"):
            stream = pair.stream(prompt, **asked)  # wrong options end here, before anything is said
            if not no_compare:
                turns.warm_up()
        out.print(heading(target.name, small.name), "\n")
        write(out, prompt, Style.parse(PROMPT_STYLE))
        pieces = Pieces(pair.bridge.target, stream.prompt_ids)
        output = collect(_shown(stream, pieces, out), stream.prompt_ids, stream.stats)
        out.print("\n")
        if output.draft_failure:
            out.print(f"The target went on alone: {output.draft_failure}", style="yellow", markup=False)
        if no_compare or not output.token_ids:
            return
        with waiting("the same again, beside the others") as tell:
            three = turns.taken(output, tell)
        out.print(summary(three, method=stream.method, sampled=temperature > 0))


def _tiny(device: str, threads: int | None) -> tuple[Loaded, Loaded]:
    target = load_one(_SMOLLM2, dtype=None, device=device, threads=threads)
    return target, packaged_draft(target)


def _two(device: str, threads: int | None, *, swap: bool) -> tuple[Loaded, Loaded]:
    sides = (_SMOLLM2, _GEMMA3) if swap else (_GEMMA3, _SMOLLM2)
    target, draft = load_pair(*sides, dtype=None, device=device, threads=threads)
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
