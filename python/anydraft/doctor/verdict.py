"""From what was found to one line: usable, poor or impossible, and with which method.

The rules, in order:

- *impossible*: a model with fewer logits than its tokenizer has ids, a tokenizer whose round trip changes
  text, or two vocabularies that share nothing.
- *poor*: the draft leaves out more than :data:`MOST_UNWRITTEN` of the text, needs more than
  :data:`MOST_DRAFT_TOKENS` tokens for one of the target, or reaches less than :data:`LEAST_REACH` of the
  target's tokens by any method.
- *usable*: everything else. Whether it pays depends on the models; a tokenizer can only rule it out.

When sampling, the method is the cheapest whose reach is within :data:`NEARLY` of the best. At temperature 0
it is the string-level one, as for ``method="auto"``, but where ``tli`` reaches as good as everything.
"""

from __future__ import annotations

from anydraft.doctor.reach import METHODS
from anydraft.doctor.report import Hazard, Overlap, TextUse, Verdict

MOST_UNWRITTEN = 0.02
"""Of the bytes of the text."""
MOST_DRAFT_TOKENS = 2.0
"""Draft tokens per target token: with more, most of a block is spent on a single token of the target."""
LEAST_REACH = 0.5
"""Of the target's tokens: below it, more of them are out of reach than within, however good the draft is."""
NEARLY = 0.005


def judge(overlap: Overlap, total: TextUse, hazards: list[Hazard]) -> Verdict:
    """One line on the pair."""
    fatal = [hazard for hazard in hazards if hazard.severity == "fatal"]
    if fatal:
        return _impossible(f"the {fatal[0].who} has {fatal[0].title}")
    if not overlap.shared:
        return _impossible("the two vocabularies share no token")
    best = max(METHODS, key=total.reached)
    cheapest = next(name for name in METHODS if total.reached(name) >= total.reached(best) - NEARLY)
    greedy = "tli" if total.reached("tli") >= 1 - NEARLY else "slem"
    methods = cheapest if greedy == cheapest else f"{greedy} at temperature 0 and {cheapest} when sampling"
    reach = f"{cheapest} reaches {total.reached(cheapest):.1%} of the target's tokens"
    problem = _problem(total, total.reached(best))
    if problem:
        return Verdict("poor", f"poor: {problem}; if at all, use {methods} ({reach})", greedy, cheapest)
    return Verdict("usable", f"usable: use {methods} ({reach})", greedy, cheapest)


def _problem(total: TextUse, reach: float) -> str | None:
    if total.draft_unwritten > MOST_UNWRITTEN * total.bytes:
        return f"the draft cannot write {total.draft_unwritten / total.bytes:.0%} of the text"
    if total.draft_per_target > MOST_DRAFT_TOKENS:
        return f"the draft needs {total.draft_per_target:.1f} tokens for one of the target"
    if reach < LEAST_REACH:
        return f"{1 - reach:.0%} of the target's tokens are out of reach when sampling"
    return None


def _impossible(reason: str) -> Verdict:
    return Verdict("impossible", f"impossible: {reason}", None, None)
