"""What a decode took, in a line."""

from __future__ import annotations

from dataclasses import fields

from anydraft.decoding.stats import Stats


def in_a_line(stats: Stats) -> str:
    """Tokens, passes and what was accepted."""
    return (
        f"{stats.tokens} tokens, {stats.tokens_per_second:.1f}/s; {stats.target_passes} target passes of "
        f"{stats.block_efficiency:.2f} tokens and {stats.bytes_per_pass:.1f} bytes; "
        f"accepted {stats.accepted} of {stats.proposed} proposed ({stats.acceptance_rate:.0%})"
    )


def added(first: Stats, second: Stats) -> Stats:
    """The counts of two decodes as those of one."""
    return Stats(**{f.name: getattr(first, f.name) + getattr(second, f.name) for f in fields(Stats)})
