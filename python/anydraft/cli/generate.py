"""``anydraft generate``: a prompt in, the target's text out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from anydraft.cli import options
from anydraft.cli.counts import in_a_line
from anydraft.cli.loading import check_sampling, load_pair, side
from anydraft.cli.memory_file import kept
from anydraft.cli.terminal import clean_endings, console, error_console, write
from anydraft.decoding.events import Event, Output, collect
from anydraft.errors import ArgumentError

EPILOG = """
**Examples**

    anydraft generate --target big-model --draft small-model "The capital of France is"

    git diff | anydraft generate --target big.gguf --draft small.gguf --chat --stats

    anydraft generate --target big-model --draft small-model --temperature 0.8 --seed 1 --json "Once upon"

The text goes to standard output, everything else to standard error.
"""

_MODEL = "A folder, a GGUF file, an org/name of the Hugging Face Hub, or tiny."


def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="The prompt. Without it, or as -, standard input (one line end at its end is cut)."
        ),
    ] = None,
    *,
    target: Annotated[Path, typer.Option(help=f"The model that is to speak. {_MODEL}")],
    draft: Annotated[Path, typer.Option(help=f"The small model that drafts for it. {_MODEL}")],
    target_tokenizer: options.TargetTokenizer = None,
    draft_tokenizer: options.DraftTokenizer = None,
    chat: Annotated[bool, typer.Option("--chat", help="Send the prompt as a user's chat message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Print a summary to standard error.")] = False,
    max_new_tokens: options.MaxNewTokens = 128,
    temperature: options.Temperature = 0.0,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repetition_penalty: options.RepetitionPenalty = None,
    seed: options.Seed = None,
    method: options.Method = "auto",
    rule: options.Rule = None,
    num_draft_tokens: options.DraftTokens = None,
    memory_file: options.MemoryFile = None,
    engine: options.Engine = "auto",
    dtype: options.Dtype = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Continue a prompt with TARGET, sped up by DRAFT. What is said is the target's alone."""
    with clean_endings(), kept(memory_file) as memory:
        sides = side(target, target_tokenizer), side(draft, draft_tokenizer)
        text = _prompt(prompt)
        sampled: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "seed": seed,
        }
        check_sampling(sampled)
        big, small = load_pair(*sides, dtype=dtype, device=device, threads=threads, engine=engine)
        from anydraft.speculator import Speculator

        pair = Speculator(
            big.model,
            small.model,
            big.tokenizer,
            small.tokenizer,
            method=method,
            rule=rule,
            num_draft_tokens=num_draft_tokens or "auto",
            memory=memory,
        )
        asked: dict[str, Any] = (
            {"messages": [{"role": "user", "content": text}]} if chat else {"prompt": text}
        )
        stream = pair.stream(**asked, **sampled)
        out = console()
        events = stream if as_json else _written(stream, out)
        output = collect(events, stream.prompt_ids, stream.stats)
        if as_json:
            print(json.dumps({**vars(output), "stats": stream.stats.as_dict()}, ensure_ascii=False))  # noqa: T201
        elif out.is_terminal:
            out.print()
        _report(output, wanted=stats)


def _prompt(given: str | None) -> str:
    if given is not None and given != "-":
        return given
    if given is None and sys.stdin.isatty():
        raise ArgumentError("got no prompt; give one as an argument, or text on standard input")
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ArgumentError(f"got standard input that is not UTF-8 text: {error}") from error
    return text.removesuffix("\n").removesuffix("\r")


def _written(events: Iterable[Event], out: Console) -> Iterator[Event]:
    for event in events:
        write(out, event.text)
        yield event


def _report(output: Output, *, wanted: bool) -> None:
    out = error_console()
    if output.draft_failure:
        said = f"The target went on alone: {output.draft_failure}"
        out.print(said, style="yellow", markup=False, soft_wrap=True)
    if wanted:
        out.print(in_a_line(output.stats), soft_wrap=True)
