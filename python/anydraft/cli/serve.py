"""``anydraft serve``: a pair behind OpenAI's interface."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from anydraft.cli import options
from anydraft.cli.memory_file import read
from anydraft.cli.pair import Named
from anydraft.cli.terminal import clean_endings, error_console
from anydraft.errors import MissingPackageError
from anydraft.memory.memory import PROCESS

EPILOG = """
**Examples**

    anydraft serve big-model/ tiny

    anydraft serve big-model/ small-model/ --port 8080 --max-batch 4

    ANYDRAFT_API_KEY=secret anydraft serve big-model/ small.gguf --host 0.0.0.0

Ctrl-C ends it. docs/serve.md has the routes, and what a request may say.
"""

_PACKAGES = ("starlette", "uvicorn", "pydantic", "prometheus_client")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    target: options.TargetArgument,
    draft: options.DraftArgument,
    *,
    target_tokenizer: options.TargetTokenizer = None,
    draft_tokenizer: options.DraftTokenizer = None,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at; others than this machine's own "
            "loopback can be reached from outside."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    name: Annotated[
        str | None, typer.Option(help="What clients call the model; without it, TARGET's name.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="ANYDRAFT_API_KEY", help="What clients must send as a bearer token.", show_envvar=True
        ),
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Requests that are answered at once, at most.")] = 8,
    max_queue: Annotated[
        int, typer.Option(min=0, help="Requests that wait, at most; more are sent away.")
    ] = 64,
    method: options.Method = "auto",
    rule: options.Rule = None,
    num_draft_tokens: options.DraftTokens = None,
    memory: Annotated[
        bool,
        typer.Option(
            "--memory",
            help="Look up in what was asked and said before by whomever, until the server ends. Texts of one "
            "user then shorten answers to others: only where all may see each other's.",
        ),
    ] = False,
    memory_file: Annotated[
        Path | None,
        typer.Option(help="The same, kept in this file, which need not be there yet; written at the end."),
    ] = None,
    engine: options.Engine = "auto",
    dtype: options.Dtype = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Serve TARGET, sped up by DRAFT, to clients of OpenAI's interface, several requests in one batch."""
    with clean_endings():
        absent = [package for package in _PACKAGES if not find_spec(package)]
        if absent:
            raise MissingPackageError(
                f"got no {', '.join(absent)}; anydraft serve needs what comes with: "
                "pip install 'anydraft[serve]'"
            )
        named = Named.find(target, draft, target_tokenizer, draft_tokenizer)
        out = error_console()
        from anydraft.serving.server import Server, bind

        bound = bind(host, port)
        if memory_file is not None:
            read(memory_file)
        drafted: dict[str, Any] = {"method": method, "rule": rule}
        drafted |= {"num_draft_tokens": num_draft_tokens or "auto"}
        drafted |= {"memory": PROCESS if memory or memory_file else "off"}
        pair = named.load(dtype=dtype, device=device, threads=threads, engine=engine, **drafted)
        from anydraft.serving.service import Service

        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
        with out.status("making the models ready"):
            service = Service(pair, name or named.target.name, max_batch=max_batch, max_queue=max_queue)

        def ready() -> None:
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{bound.getsockname()[1]}/v1"
            out.print(f"{service.name} is served at {url}; Ctrl-C ends it.", markup=False, soft_wrap=True)
            if host not in _LOOPBACK and not api_key:
                out.print(
                    "Anyone who reaches this address can use it: there is no --api-key.", style="yellow"
                )

        def ended() -> None:
            if memory_file is not None:
                PROCESS.save(memory_file)

        Server(service, api_key or None, ready, ended).serve_at(bound)
