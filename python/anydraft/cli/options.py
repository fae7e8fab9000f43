"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

MethodName = Literal["auto", "slem", "tli", "pushforward", "slrs", "lookup"]
"""The methods of the library. Written again, because its module needs torch; a test compares the two."""

RuleName = Literal["token", "block"]
"""The rules of :mod:`anydraft.sampling.rejection`."""

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]

EngineName = Literal["auto", "torch", "llama-cpp"]

_SAMPLING = "Sampling"
_SPEED = "Drafting and speed"

Method: TypeAlias = Annotated[
    MethodName,
    typer.Option(
        help="How to draft; auto takes what pays: a lookup, slem (temperature 0), slrs or tli, or none.",
        rich_help_panel=_SPEED,
    ),
]
Rule: TypeAlias = Annotated[
    RuleName | None,
    typer.Option(
        help="Verify token by token, or a block as one; without it, what pays for the method.",
        rich_help_panel=_SPEED,
    ),
]
NumDraftTokens: TypeAlias = Annotated[
    int, typer.Option(min=1, help="Draft tokens per block.", rich_help_panel=_SPEED)
]
DraftTokens: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Draft tokens per block, always so many and without lookups; by default as many as pay, by "
        "measured times if there is no --seed.",
        rich_help_panel=_SPEED,
    ),
]
TargetArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="The model that is to speak: a folder, a GGUF file or an org/name of the Hugging Face Hub.",
        show_default=False,
    ),
]
DraftArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="The small model that drafts for it; or tiny, the one that comes with anydraft.",
        show_default=False,
    ),
]
TargetTokenizer: TypeAlias = Annotated[
    Path | None, typer.Option(help="The target's tokenizer, if it is not beside the model.")
]
DraftTokenizer: TypeAlias = Annotated[
    Path | None, typer.Option(help="The draft's tokenizer, if it is not beside the model.")
]
Pattern: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The regular expression of a .tiktoken file that is not one of the well-known ones."),
]
Device: TypeAlias = Annotated[
    str,
    typer.Option(help="A torch device, or auto: an accelerator if there is one.", rich_help_panel=_SPEED),
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads; without it torch decides.", rich_help_panel=_SPEED),
]
Dtype: TypeAlias = Annotated[
    DtypeName | None,
    typer.Option(
        help="Number format of models that PyTorch runs; auto is the checkpoint's own on an accelerator, and "
        "on a CPU that or float32, whichever is faster.",
        rich_help_panel=_SPEED,
    ),
]
Engine: TypeAlias = Annotated[
    EngineName,
    typer.Option(
        help="What runs GGUF files: llama-cpp, at their own precision, or torch, de-quantised; auto is "
        "llama-cpp if llama-cpp-python is installed and no --dtype is given. Folders are run by torch.",
        rich_help_panel=_SPEED,
    ),
]
MemoryFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Look up also in the texts of this file, and add this one's. It need not be there yet. It holds "
        "what was asked and said, for its owner's eyes only.",
        rich_help_panel=_SPEED,
    ),
]
MaxNewTokens: TypeAlias = Annotated[int, typer.Option(help="Stop after this many tokens.")]
Temperature: TypeAlias = Annotated[
    float, typer.Option(help="0 is greedy: always the likeliest token.", rich_help_panel=_SAMPLING)
]
TopK: TypeAlias = Annotated[
    int | None, typer.Option(help="Keep the k likeliest tokens.", rich_help_panel=_SAMPLING)
]
TopP: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Keep the likeliest tokens up to this total.", rich_help_panel=_SAMPLING),
]
MinP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Keep tokens with this fraction of the likeliest one's probability, or more.",
        rich_help_panel=_SAMPLING,
    ),
]
RepetitionPenalty: TypeAlias = Annotated[
    float | None, typer.Option(help="Above 1: shun tokens said before.", rich_help_panel=_SAMPLING)
]
Seed: TypeAlias = Annotated[
    int | None, typer.Option(help="Makes sampling reproducible.", rich_help_panel=_SAMPLING)
]
