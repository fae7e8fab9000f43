"""``anydraft doctor``: will this draft do for this target? From their tokenizers alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anydraft.cli import options
from anydraft.cli.terminal import clean_endings, console
from anydraft.cli.waiting import Tell, waiting
from anydraft.errors import ArgumentError, ModelFileError, TokenizerError
from anydraft.loading.names import look_for
from anydraft.loading.paths import A_TEXT, escaped, existing, writable

if TYPE_CHECKING:
    from anydraft.doctor import Finding, Subject

EPILOG = """
**Examples**

    anydraft doctor big-model/ small-model/

    anydraft doctor big.gguf ~/models/*.gguf

    anydraft doctor tokenizer.json qwen.tiktoken --text my-prompts.txt --html report.html

    anydraft doctor --all models/* --json > pairs.json

    anydraft doctor big-model/ small-model/ --predict

**Exit code**: 0 usable, 1 poor, 2 impossible, or a file that cannot be read. Of several drafts, and with
--all, that of the best.
"""


def doctor(
    target: Annotated[
        Path,
        typer.Argument(
            help="A folder, a GGUF file, a tokenizer's own file (tokenizer.json, tekken, tiktoken, "
            "SentencePiece) or an org/name of the Hugging Face Hub. Weights are not needed.",
            show_default=False,
        ),
    ],
    draft: Annotated[
        list[Path], typer.Argument(help="One or several of the same kinds.", show_default=False)
    ],
    *,
    all_pairs: Annotated[
        bool, typer.Option("--all", help="Examine every pair of all that is given, in both directions.")
    ] = False,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="Weigh tokens by this text instead of the samples that come with anydraft. May be repeated."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with charts to this file; it needs no other file.")
    ] = None,
    predict: Annotated[
        bool,
        typer.Option(
            "--predict",
            help="Load both models too and have the planner measure them: tokens per second by method. "
            "For one draft.",
        ),
    ] = False,
    engine: options.Engine = "auto",
    threads: options.Threads = None,
    top: Annotated[int, typer.Option(min=0, help="How many lost tokens and false friends to list.")] = 12,
    pattern: options.Pattern = None,
) -> None:
    """Tell from their tokenizers whether DRAFT can draft for TARGET, and by which method.

    With several drafts they are ranked in one table.
    """
    with clean_endings():
        paths = [target, *draft]
        needed = paths if len(paths) == 2 else [] if all_pairs else paths[:1]
        for path in needed:
            if predict and path.is_file() and path.suffix != ".gguf":
                raise ArgumentError(
                    f"got --predict and {path}; expected a folder or a GGUF file with weights: they are "
                    "measured"
                )
            look_for(path, weights=predict)
        for path in text or []:
            existing(path, A_TEXT)
        if html is not None:
            writable(html)
        from anydraft.doctor import ranked, samples
        from anydraft.doctor.report import LEVELS

        texts = samples.from_files(text) if text else None
        names = _names(paths)
        with waiting("starting") as tell:
            opened = _opened(paths, names, needed, pattern, tell)
            pairs = permutations(names, 2) if all_pairs else ((names[0], draft) for draft in names[1:])
            findings = _findings(list(pairs), opened, texts, top, tell)
        if predict:
            findings = [_predicted(findings, paths, threads, engine)]
        if not all_pairs:
            findings = ranked(findings)
        if html is not None:
            _write_page(html, names, findings, all_pairs=all_pairs)
        if as_json:
            _print_json(findings, several=len(findings) > 1)
        else:
            _print(findings, names, all_pairs=all_pairs)
        raise typer.Exit(min(LEVELS.index(finding.verdict.level) for finding in findings))


def _predicted(
    findings: Sequence[Finding], paths: Sequence[Path], threads: int | None, engine: options.EngineName
) -> Finding:
    """The only finding with the planner's measurements."""
    from anydraft.cli.doctor_prediction import predict
    from anydraft.doctor import Report

    if len(findings) != 1:
        raise ArgumentError(f"got --predict and {len(findings)} pairs; expected one target and one draft")
    (finding,) = findings
    if not isinstance(finding, Report) or finding.verdict.level == "impossible":
        return finding
    return replace(finding, predicted=predict(paths[0], paths[1], threads, engine))


def _names(paths: Sequence[Path]) -> list[str]:
    """What to call each path: its short name where that is the only one, else the path."""
    from anydraft.doctor.subject import name_of

    short = [name_of(path) for path in paths]
    names = [
        name if short.count(name) == 1 else escaped(str(path))
        for name, path in zip(short, paths, strict=True)
    ]
    return [f"{name} ({i})" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]


def _opened(
    paths: Sequence[Path], names: Sequence[str], needed: Sequence[Path], pattern: str | None, tell: Tell
) -> dict[str, Subject | str]:
    """By name a tokenizer, or why it is none; without those that are ``needed`` there is nothing to say."""
    from anydraft.doctor import Subject

    found: dict[str, Subject | str] = {}
    for i, (path, name) in enumerate(zip(paths, names, strict=True)):
        tell(name)
        try:
            found[name] = Subject.open(
                path,
                lambda stage, _, name=name: tell(f"{name}: {stage}"),  # type: ignore[misc]
                name=name,
                pattern=pattern,
                role="draft" if i else "target",
            )
        except TokenizerError as error:
            found[name] = escaped(str(error))
        except ModelFileError as error:
            if path in needed:
                raise
            found[name] = escaped(str(error))
    return found


def _findings(
    pairs: Sequence[tuple[str, str]],
    opened: dict[str, Subject | str],
    texts: dict[str, str] | None,
    top: int,
    tell: Tell,
) -> list[Finding]:
    from anydraft.doctor import Refusal, examine

    found: list[Finding] = []
    for number, (left, right) in enumerate(pairs, 1):
        tell(f"{left} ← {right}" + (f" ({number}/{len(pairs)})" if len(pairs) > 1 else ""))
        target, draft = opened[left], opened[right]
        if isinstance(target, str) or isinstance(draft, str):
            reason = target if isinstance(target, str) else str(draft)
            found.append(Refusal(left, right, reason))
            continue
        try:
            found.append(examine(target, draft, texts, most=top))
        except TokenizerError as error:
            if len(pairs) == 1:
                raise
            found.append(Refusal(left, right, escaped(str(error))))
    return found


def _print(findings: Sequence[Finding], names: Sequence[str], *, all_pairs: bool) -> None:
    from anydraft.cli.doctor_ranking import print_matrix, print_ranking
    from anydraft.cli.doctor_report import print_report, verdict_line
    from anydraft.doctor import Report

    out = console()
    if all_pairs:
        print_matrix(out, names, findings)
    elif len(findings) > 1:
        print_ranking(out, names[0], findings)
    elif isinstance(findings[0], Report):
        print_report(out, findings[0])
    else:
        out.print(verdict_line(findings[0].verdict), soft_wrap=True)


def _print_json(findings: Sequence[Finding], *, several: bool) -> None:
    made = [finding.as_dict() for finding in findings]
    print(json.dumps({"pairs": made} if several else made[0], ensure_ascii=False))  # noqa: T201


def _write_page(path: Path, names: Sequence[str], findings: Sequence[Finding], *, all_pairs: bool) -> None:
    from anydraft.doctor import page

    made = page.matrix(names, findings) if all_pairs else page.ranking(names[0], findings)
    try:
        writable(path).write_text(made, encoding="utf-8")
    except OSError as error:
        raise ModelFileError(f"cannot write the page to {path}: {error}") from error
