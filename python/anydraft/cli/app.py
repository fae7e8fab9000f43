"""The commands put together. Nothing here, and nothing at the top of a command's file, imports torch."""

from __future__ import annotations

from typing import Annotated

import typer

from anydraft import __version__
from anydraft.cli.align import EPILOG as ALIGN_EPILOG
from anydraft.cli.align import align
from anydraft.cli.bench import EPILOG as BENCH_EPILOG
from anydraft.cli.bench import bench
from anydraft.cli.chat import EPILOG as CHAT_EPILOG
from anydraft.cli.chat import chat
from anydraft.cli.demo import EPILOG as DEMO_EPILOG
from anydraft.cli.demo import demo
from anydraft.cli.doctor import EPILOG as DOCTOR_EPILOG
from anydraft.cli.doctor import doctor
from anydraft.cli.fuzz import EPILOG as FUZZ_EPILOG
from anydraft.cli.fuzz import fuzz
from anydraft.cli.generate import EPILOG as GENERATE_EPILOG
from anydraft.cli.generate import generate
from anydraft.cli.serve import EPILOG as SERVE_EPILOG
from anydraft.cli.serve import serve
from anydraft.cli.serve_config import EPILOG as SERVE_CONFIG_EPILOG
from anydraft.cli.serve_config import serve_config
from anydraft.cli.shrink import EPILOG as SHRINK_EPILOG
from anydraft.cli.shrink import shrink
from anydraft.cli.train_draft import EPILOG as TRAIN_EPILOG
from anydraft.cli.train_draft import train_draft

EPILOG = """
**Examples**

    anydraft doctor big-model/ small-model/

    anydraft generate --target big-model --draft small-model "The capital of France is"

    anydraft --install-completion

Each command has a --help with examples of its own.
"""

app = typer.Typer(
    name="anydraft",
    epilog=EPILOG,
    help="Lossless speculative decoding: any small model drafts for any large one.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=DEMO_EPILOG)(demo)
app.command(epilog=GENERATE_EPILOG)(generate)
app.command(epilog=CHAT_EPILOG)(chat)
app.command(epilog=DOCTOR_EPILOG)(doctor)
app.command(epilog=BENCH_EPILOG)(bench)
app.command(epilog=ALIGN_EPILOG)(align)
app.command(epilog=FUZZ_EPILOG)(fuzz)
app.command(epilog=SERVE_EPILOG)(serve)
app.command(epilog=SERVE_CONFIG_EPILOG)(serve_config)
app.command("train-draft", epilog=TRAIN_EPILOG)(train_draft)
app.command(epilog=SHRINK_EPILOG)(shrink)


def _version(asked: bool) -> None:  # noqa: FBT001  the signature is typer's
    if asked:
        typer.echo(f"anydraft {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run the command line."""
    app()
