"""``anydraft bench``: the target alone, transformers' assisted generation and anydraft, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anydraft.cli import options
from anydraft.cli.bench_report import LEAST, sentences, show
from anydraft.cli.loading import check_sampling, load_pair, side
from anydraft.cli.terminal import clean_endings, console
from anydraft.cli.waiting import waiting
from anydraft.errors import ArgumentError
from anydraft.loading.paths import A_TEXT, escaped, existing, writable

EPILOG = """
**Examples**

    anydraft bench --target big-model/ --draft small.gguf

    anydraft bench --target big/ --draft small/ --sets code --temperatures 0 --chart bench.html

    anydraft bench --target big/ --draft small/ --prompts-file mine.txt

**Exit code**: 0, or 1 if auto was slower than 0.97 of the target alone somewhere, 2 for an error.
"""


def bench(
    *,
    target: Annotated[
        Path, typer.Option(help="A folder, a GGUF file or an org/name of the Hugging Face Hub.")
    ],
    draft: Annotated[Path, typer.Option(help="The same, or tiny, the draft that comes with anydraft.")],
    target_tokenizer: options.TargetTokenizer = None,
    draft_tokenizer: options.DraftTokenizer = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(help="code, prose, multilingual, summarising, editing, long. May be repeated."),
    ] = None,
    prompts_file: Annotated[
        Path | None, typer.Option(help="Prompts of your own, apart by lines that hold only ---.")
    ] = None,
    temperatures: Annotated[list[float] | None, typer.Option(help="May be repeated. [0 and 0.7]")] = None,
    prompts: Annotated[int, typer.Option(min=1, help="Prompts of each set.")] = 2,
    tokens: Annotated[int, typer.Option(min=8, help="New tokens for each prompt.")] = 48,
    repeats: Annotated[int, typer.Option(min=1, help="Times that each prompt is run.")] = 1,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="Also transformers' TLI as it is shipped: not lossless.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Of anydraft only method auto.")] = False,
    engine: options.Engine = "auto",
    dtype: options.Dtype = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write all figures here.")] = None,
    chart_path: Annotated[Path | None, typer.Option("--chart", help="Write a chart here (HTML).")] = None,
) -> None:
    """Compare TARGET alone with what makes it faster, all on the same prompts, taking turns in one run."""
    with clean_endings():
        sides = side(target, target_tokenizer), side(draft, draft_tokenizer)
        json_path, chart_path = (path and writable(path) for path in (json_path, chart_path))
        if prompts_file is not None:
            prompts_file = existing(prompts_file, A_TEXT)
        for temperature in temperatures or ():
            check_sampling({"temperature": temperature})
        from anydraft.bench.sets import SETS, own_set

        names = list(SETS) if sets is None and prompts_file is None else sets or []
        strange = sorted(set(names) - set(SETS))
        if strange:
            raise ArgumentError(f"got --sets {strange[0]}; expected some of {', '.join(SETS)}")
        chosen = {name: SETS[name] for name in names}
        if prompts_file is not None:
            chosen[escaped(prompts_file.stem)] = own_set(prompts_file)
        big, small = load_pair(*sides, dtype=dtype, device=device, threads=threads, engine=engine)

        from anydraft.bench.comparison import Pair, Settings
        from anydraft.bench.record import Comparison

        pair = Pair(f"{big.name} <- {small.name}", (big.model, small.model, big.tokenizer, small.tokenizer))
        comparison = Comparison(
            chosen,
            temperatures or [0.0, 0.7],
            prompts,
            Settings(tokens=tokens, repeats=repeats, shipped=shipped, quick=quick),
            json_path=json_path,
            chart_path=chart_path,
        )
        out = console()
        with waiting("measuring") as tell:
            for found in comparison.run([lambda: pair], tell):
                show(out, found)
        summary = comparison.record.get("summary", {})
        for said in sentences(summary) if summary else ():
            out.print(said, markup=False)
        if summary and summary["auto beside the target alone, least"][0] < LEAST:
            raise typer.Exit(1)
