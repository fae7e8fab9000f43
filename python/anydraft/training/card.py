"""A draft's card: what it is, what it learnt from, and how much it helps. Every number is the record's."""

from __future__ import annotations

from anydraft.training.measure import Measured
from anydraft.training.record import Record

_TITLES = (
    "| target | prompts | temperature | method | first accepted | tokens a pass | predicted speed | blocks |",
    "|---|---|---|---|---|---|---|---|",
)


def card(name: str, record: Record) -> str:
    """The card in Markdown."""
    last = record.curve[-1].held_out if record.curve else None
    lines = [
        f"# The draft `{name}`",
        "",
        f"`anydraft.drafts.load({name!r})`: {record.parameters / 1e6:.1f} million weights (one byte each in "
        f"the package, float32 when loaded), a vocabulary of {record.vocabulary} tokens of its own. An "
        "ordinary llama model with a byte-level BPE tokenizer; general English and Python.",
        "",
        "## What it helps",
        "",
        "On prompts whose subjects are in no training prompt, along texts that the target wrote itself "
        "([how](../drafts.md#measuring)). Speeds are predicted from pass times of one machine, beside the "
        "target alone in the same loop, and change with the machine and its load: one above the tokens a "
        "pass was measured beside other work, and is no evidence. Acceptance does not change.",
        "",
        *_TITLES,
    ]
    for target, measured in record.measured.items():
        lines += [_row(target, m) for m in measured]
    lines += [
        "",
        *(
            f"A draft step takes {_steps(found)} of a one-token pass of {target}."
            for target, found in record.measured.items()
        ),
        "",
        "## What it learnt from",
        "",
        f"- {record.texts} texts, {record.tokens} draft tokens, that {record.target} (Apache-2.0) wrote for "
        "prompts made of templates and subjects of this project (`anydraft.training.subjects`), with its "
        "probabilities.",
        *(f"- {source}" for source in record.corpus),
        "",
        "Nothing else. Of the packages, both licensed BSD-3-Clause, sources and documentation are read.",
        "",
        "## How",
        "",
        f"`recipes/{name}.sh` does it again: seed {record.seed}, {record.steps} steps, "
        f"{record.sampling_seconds / 60:.0f} minutes of sampling and {record.training_seconds / 60:.0f} of "
        "training when it was made.",
    ]
    if last is not None:
        lines += [
            f"At the end the loss on held-out text was {last.loss:.3f} nats a draft token; draft and target "
            f"found the same token likeliest at {last.greedy:.1%} of places, and {last.sampled:.1%} of the "
            "draft tokens drawn at temperature 1 are accepted.",
            "",
            f"![Loss by step]({name}.svg)",
        ]
    return "\n".join(lines) + "\n"


def _row(target: str, m: Measured) -> str:
    return (
        f"| {target} | {m.kind} | {m.temperature:g} | `{m.method}`, {m.length} | {m.acceptance:.1%} | "
        f"{m.tokens_per_pass:.2f} | {m.speedup:.2f}x | {m.positions} |"
    )


def _steps(measured: list[Measured]) -> str:
    shares = sorted(m.step for m in measured)
    return f"{shares[0]:.1%} to {shares[-1]:.1%}"
