"""A row of a decode from its prompt and its options."""

from __future__ import annotations

import torch

from anydraft.bridge.prompts import Prompt
from anydraft.bridge.text import written_out
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.sequence import Row
from anydraft.decoding.stop_rules import criteria_rules, stop_rules, time_rules
from anydraft.engine.engine import Engine
from anydraft.engine.forks import FORKS
from anydraft.engine.options import SamplingOptions
from anydraft.errors import ArgumentError
from anydraft.models.in_order import OrderedProcessors, OrderedRow
from anydraft.models.logits import ProcessedLaw
from anydraft.proposers.registry import AnyMethod
from anydraft.sampling.laws import Greedy, SeededRandomness


def begin(
    engine: Engine,
    prompt: Prompt,
    caches: PairCaches,
    wanted: SamplingOptions,
    *,
    method: AnyMethod | None = None,
    together: int | None = None,
    remembers: bool = True,
) -> Row:
    """A row that says what ``wanted`` asks for.

    ``method``, ``together`` and ``remembers`` as for :meth:`Engine.row`.

    Raises:
        ArgumentError: a prompt longer than the target's window, an end token that the target does not have,
            or an unknown method.
        PairError: the method cannot work with this pair.
        ModelError: a process that was forked, with more threads than one.
    """
    FORKS.runs()
    end_ids = wanted.end_ids(engine.end_ids, caches.target.vocab_size)
    law = wanted.law(len(prompt.ids), end_ids, caches.target.device)
    stops = stop_rules(wanted.stop, written_out(engine.bridge.target), after=len(prompt.ids))
    window = caches.target.window
    room = None if window is None else window - len(prompt.ids)
    if room is not None and room < 1:
        raise ArgumentError(
            f"got a prompt of {len(prompt.ids)} tokens; the target's window holds {window} and one must "
            "be free. Shorten the prompt."
        )
    return engine.row(
        prompt,
        caches,
        law=law if law.pure else _in_order(law, prompt.ids, caches.target.device),
        draft_law=wanted.draft_law().without_prefix,
        randomness=Greedy() if law.greedy else SeededRandomness(wanted.seed),
        times="measured" if follows_clocks(wanted) else "nominal",
        max_new_tokens=wanted.max_new_tokens,
        room=room,
        rules=[*stops, *time_rules(wanted.max_time), *criteria_rules(wanted.stopping_criteria)],
        end_ids=end_ids,
        method=method,
        together=together,
        remembers=remembers,
    )


def follows_clocks(wanted: SamplingOptions) -> bool:
    """Whether clocks may direct what is drafted: no seed is to repeat a sample."""
    return wanted.seed is None or wanted.temperature == 0


def _in_order(law: ProcessedLaw, ids: list[int], device: torch.device) -> OrderedRow:
    """The same processors, called as plain decoding calls them."""
    shown = torch.tensor([ids], dtype=torch.int64, device=device)
    return OrderedProcessors(law.processors, "greedy" if law.greedy else "sample", shown).rows[0]
