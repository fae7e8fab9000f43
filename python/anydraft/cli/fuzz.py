"""``anydraft fuzz``: does this tokenizer keep the laws, and where not, in bytes."""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from anydraft.cli import options
from anydraft.cli.fuzz_report import Result, write_report
from anydraft.cli.terminal import clean_endings, console, error_console
from anydraft.cli.waiting import waiting
from anydraft.errors import ArgumentError
from anydraft.loading.paths import escaped, expanded

if TYPE_CHECKING:
    from anydraft.testing import Law, Subject

EPILOG = """
**Examples**

    anydraft fuzz tokenizer.json

    anydraft fuzz big-model/ small-model/ --seconds 120

    anydraft fuzz my_package.tokenizer:MyTokenizer --law round-trip --examples 5000

    anydraft fuzz mistral/ --allow space-mark --allow leading-space --json > laws.json

**Exit code**: 0 if no law was broken, 1 if one was, 2 if a tokenizer cannot be read. The same seed tries the
same texts.
"""


def fuzz(
    tokenizer: Annotated[
        str,
        typer.Argument(
            help="A folder, a tokenizer's file, a GGUF file or an org/name of the Hugging Face Hub; or "
            "module:name of a tokenizer in Python, or of what makes one.",
            show_default=False,
        ),
    ],
    draft: Annotated[
        str | None,
        typer.Argument(
            help="A second one: its laws too, and those of the pair, the first being the target.",
            show_default=False,
        ),
    ] = None,
    *,
    examples: Annotated[int, typer.Option(min=1, help="Examples for each law.")] = 300,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1, help="Instead: seconds for all laws together, each the same share.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Which texts are tried; without it, others every time.", show_default=False),
    ] = None,
    law: Annotated[
        list[str] | None, typer.Option(help="Only this law. May be repeated.", show_default=False)
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out something known: space-mark, leading-space, dropped-characters, "
            "replaced-surrogates, held-back-end, nfc or nfkc. May be repeated.",
            show_default=False,
        ),
    ] = None,
    pattern: options.Pattern = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Try to break a tokenizer with texts that hurt tokenizers, or two of them and the bridge between them.

    Every law that is broken is shown with the smallest text that breaks it, in bytes and ids.
    """
    with clean_endings():
        seed = random.SystemRandom().randrange(2**20) if seed is None else seed
        subjects = _subjects([tokenizer] if draft is None else [tokenizer, draft], allow or [], pattern)
        work = _work(subjects, law or [])
        share = None if seconds is None else seconds / len(work)
        results = list(_judged(work, examples, share, seed))
        broken = sum(result.verdict.outcome == "failed" for result in results)
        if as_json:
            asked = {
                "seed": seed,
                "examples": None if seconds else examples,
                "seconds": seconds,
                "allow": allow or [],
            }
            found = {"broken": broken, "laws": [result.as_dict() for result in results]}
            asked |= {"tokenizers": [one.name for one in subjects], "allow": allow or []}
            print(json.dumps({**asked, **found}))  # noqa: T201
        else:
            write_report(console(), results, seed)
        if broken:
            raise typer.Exit(1)


def _subjects(named: list[str], allow: list[str], pattern: str | None) -> list[Subject]:
    with waiting("starting"):
        # What hypothesis keeps between runs is of no use here, and must not appear where one works.
        os.environ.setdefault(
            "HYPOTHESIS_STORAGE_DIRECTORY", os.path.join(tempfile.gettempdir(), "anydraft-fuzz")
        )
        from anydraft.loading.tokenizer_quick import open_tokenizer
        from anydraft.testing import Subject
    subjects = []
    for name in named:
        shown = escaped(name)
        with waiting(f"reading {shown}"):
            found = _found(name)
            if isinstance(found, str):
                found = open_tokenizer(found, pattern=pattern)
            subjects.append(Subject.of(found, name=shown).allow(*allow))
    return subjects


def _found(name: str) -> Any:
    """A path, or what ``module:name`` names: a tokenizer, or something to call for one."""
    module, colon, attribute = name.partition(":")
    if not colon or os.path.exists(expanded(name)):
        return name
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArgumentError(
            f"got {name!r}, which is neither a path nor module:name in Python ({error})"
        ) from error
    finally:
        sys.path.remove(str(Path.cwd()))
    is_maker = isinstance(found, type) or not hasattr(found, "encode")
    return found() if is_maker and callable(found) else found


def _work(subjects: list[Subject], wanted: list[str]) -> list[tuple[Law[Any], Any]]:
    """The laws that are asked for, each with what it is asked of."""
    from anydraft.testing import LAWS, PAIR_LAWS, SubjectPair
    from anydraft.testing import law as law_named

    names = {law_named(name).name for name in wanted}
    work: list[tuple[Law[Any], Any]] = [(one, subject) for subject in subjects for one in LAWS]
    if len(subjects) == 2:
        with waiting("joining both"):
            pair = SubjectPair.of(*subjects)
        work += [(one, pair) for one in PAIR_LAWS]
    work = [(one, subject) for one, subject in work if not names or one.name in names]
    if not work:
        raise ArgumentError(f"got only laws of pairs ({', '.join(sorted(names))}); expected two tokenizers")
    return work


def _judged(
    work: list[tuple[Law[Any], Any]], examples: int, share: float | None, seed: int
) -> Iterator[Result]:
    out = error_console()
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn()
    bars = Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
    with bars, _interrupt_heard() as listen:
        everything = bars.add_task("", total=len(work))
        for done, (law, subject) in enumerate(work):
            bars.update(everything, description=f"{subject.name}: {law.name}", completed=done)

            def report(tried: int, done: int = done) -> None:
                listen()
                bars.update(everything, completed=done + min(1.0, tried / examples) * 0.9)

            verdict = law.judge(subject, examples=examples, seconds=share, seed=seed, report=report)
            yield Result(subject.name, verdict)


@contextmanager
def _interrupt_heard() -> Iterator[Callable[[], None]]:
    """Ctrl-C is heard where the function is called: within hypothesis's bookkeeping it can be lost.

    A second one ends at once, should the tokenizer hang.
    """
    heard = False

    def note(_signal: int, _frame: object) -> None:
        nonlocal heard
        if heard:
            raise KeyboardInterrupt
        heard = True

    def listen() -> None:
        if heard:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield listen
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield listen
    finally:
        signal.signal(signal.SIGINT, before)
