"""What crossing vocabularies costs, beside transformers' own classes: tables, one round, context, files.

    python benches/python/bridge_costs.py [--rounds N] [--repeats N] [--json FILE]

Target Gemma-3-270M, draft SmolLM2-135M-Instruct (tokenizers only; no model runs). Both sides of a comparison
run in one process, in turns, the first one changing; medians, and the median of the ratios of neighbours.
A round commits 5 target tokens and proposes 5 draft tokens; every second draft is wrong, as drafts are.
It is timed twice: with the processor's caches as the other contenders leave them, and after 64 MB are
read, as a pass of a model does, so that nobody finds its data in a cache.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
import transformers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.generation.candidate_generator import (
    AssistantToTargetTranslator,
    AssistedCandidateGeneratorDifferentTokenizers,
)

from anydraft import Bridge, _core
from anydraft.loading.folders import load_tokenizer, packaged

TOKENS = 5
"""Target tokens committed and draft tokens proposed in a round."""
SHORT, LONG = 1_000, 128_000
"""Tokens of context."""


@dataclass
class Row:
    """One line of the result: medians in microseconds."""

    what: str
    ours: float
    peer: float | None = None
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Pair:
    """The tokenizers as transformers has them, and the bridge between them."""

    target: Any
    draft: Any
    bridge: Bridge


@dataclass(frozen=True)
class Round:
    """What both systems are given."""

    committed: list[int]
    drafted: list[int]


class Peer:
    """The two window conversions of transformers' string-level drafting, called as in a round of its own."""

    def __init__(self, pair: Pair, context: list[int]) -> None:
        config = LlamaConfig(
            hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=8
        )
        self.input_ids = torch.tensor([context])
        self._generator = AssistedCandidateGeneratorDifferentTokenizers(
            input_ids=self.input_ids,
            assistant_model=LlamaForCausalLM(config),  # never runs
            target_tokenizer=pair.target,
            assistant_tokenizer=pair.draft,
            generation_config=GenerationConfig(max_length=10**9),
            model_kwargs={},
        )
        self._seen = self._generator._prepare_assistant_input_ids(self.input_ids)[0]
        self._drafted([])

    def _drafted(self, ids: list[int]) -> None:
        """What ``get_candidates`` remembers after the draft model has run."""
        self._generator.prev_target_ids_len = self.input_ids.shape[1]
        self._generator.prev_assistant_ids = torch.cat([self._seen, torch.tensor([ids]).long()], dim=-1)

    def round(self, given: Round) -> float:
        """Seconds of the conversions in ``get_candidates``; what the model would do there is not counted."""
        self.input_ids = torch.cat([self.input_ids, torch.tensor([given.committed])], dim=-1)
        started = time.perf_counter()
        self._seen, _ = self._generator._prepare_assistant_input_ids(self.input_ids)
        self._generator.prev_assistant_ids = self._seen
        spent = time.perf_counter() - started
        sequences = torch.cat([self._seen, torch.tensor([given.drafted])], dim=-1)
        started = time.perf_counter()
        self._generator._process_assistant_outputs(self.input_ids, sequences)
        spent += time.perf_counter() - started
        self._drafted(given.drafted)
        return spent

    def seen(self) -> list[int]:
        """What the draft model is given."""
        return self._seen[0, -200:].tolist()


class Ours:
    """The same round through a session."""

    def __init__(self, pair: Pair, context: list[int]) -> None:
        self.session = pair.bridge.session()
        self.session.commit(context, [])

    def round(self, given: Round) -> float:
        started = time.perf_counter()
        self.session.propose(given.drafted)
        self.session.commit(given.committed, given.drafted)
        return time.perf_counter() - started

    def seen(self) -> list[int]:
        """What the draft model is given."""
        return self.session.view()


def document(pair: Pair, tokens: int) -> list[int]:
    """At least so many target tokens of English prose with code: Python's own documentation."""
    text = "\n\n".join(topics[name] for name in sorted(topics))
    ids = pair.bridge.target.encode(text.encode()) or []
    return ids * (tokens // len(ids) + 1)


def rounds(pair: Pair, text: list[int], count: int) -> list[Round]:
    """The text in steps; the draft goes on with the same text or, every second time, with another place."""
    made = []
    for n in range(count):
        at = n * TOKENS
        start = at + TOKENS if n % 2 == 0 else (at + len(text) // 2) % (len(text) - 8 * TOKENS)
        said = pair.bridge.target.decode(text[start : start + 8 * TOKENS])
        drafted = pair.bridge.draft.encode(said) or []
        made.append(Round(text[at : at + TOKENS], drafted[:TOKENS]))
    return made


def in_turns(
    contenders: dict[str, Callable[[int], float]], count: int, before: Callable[[], object] = lambda: None
) -> dict[str, list[float]]:
    """Seconds of every contender at every turn; who is first changes."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for n in range(count):
        for name in names if n % 2 == 0 else names[::-1]:
            before()
            gc.disable()
            spent[name].append(contenders[name](n))
            gc.enable()
    return spent


def compared(what: str, ours: list[float], peer: list[float]) -> Row:
    """Medians, and how often the peer's time ours is."""
    ratio = statistics.median(b / a for a, b in zip(ours, peer, strict=True))
    return Row(what, statistics.median(ours) * 1e6, statistics.median(peer) * 1e6, ratio)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    result = work()
    spent = time.perf_counter() - started
    del result
    return spent


def median_of(work: Callable[[], object], repeats: int) -> float:
    return statistics.median(timed(work) for _ in range(repeats)) * 1e6


def tables(pair: Pair, repeats: int) -> list[Row]:
    """Both translation tables from loaded vocabularies, beside the peer's one."""
    sides = pair.bridge.target, pair.bridge.draft

    def ours() -> object:
        core = _core.Bridge(*sides, [], [])
        return core.draft_to_target(), core.target_to_draft()

    def peer() -> object:
        return AssistantToTargetTranslator(pair.target, pair.draft, len(sides[0]))

    spent = in_turns({"ours": lambda _: timed(ours), "peer": lambda _: timed(peer)}, repeats)
    first = compared("tables, both directions", spent["ours"], spent["peer"])
    first.goal, first.met = "ratio >= 20", (first.ratio or 0) >= 20
    rows = [first]
    for name in ("expansion", "spelling"):

        def more(name: str = name) -> object:
            return getattr(_core.Bridge(*sides, [], []), name)()

        rows.append(Row(f"tables, and the {name} of every token", median_of(more, repeats)))
    return rows


def round_trips(
    pair: Pair, count: int, state: str, before: Callable[[], object]
) -> tuple[list[Row], dict[str, Any]]:
    """One round at a short and at a long context, beside the peer's; ``state`` says what ``before`` does."""
    text = document(pair, LONG + (count + 10) * TOKENS)
    steps = rounds(pair, text[LONG:], count)
    sides = {
        f"{name}, {size // 1000}k": kind(pair, text[LONG - size : LONG])
        for name, kind in (("ours", Ours), ("peer", Peer))
        for size in (SHORT, LONG)
    }
    wrong = dict.fromkeys(sides, 0)

    def turn(name: str) -> Callable[[int], float]:
        def play(n: int) -> float:
            spent = sides[name].round(steps[n])
            said = pair.bridge.target.decode(text[LONG : LONG + (n + 1) * TOKENS])
            seen = pair.bridge.draft.decode(sides[name].seen()[-50:])
            wrong[name] += not said.endswith(seen[-len(said) :])
            return spent

        return play

    spent = in_turns({name: turn(name) for name in sides}, count, before)
    short, long = f"{SHORT // 1000}k", f"{LONG // 1000}k"
    row = compared(f"one round at {short}, {state}", spent[f"ours, {short}"], spent[f"peer, {short}"])
    row.goal, row.met = "<= 150 us, ratio >= 15", row.ours <= 150 and (row.ratio or 0) >= 15
    other = compared(f"one round at {long}, {state}", spent[f"ours, {long}"], spent[f"peer, {long}"])
    growth = other.ours / row.ours
    other.goal, other.met = f"<= 1.5 x {short}: {growth:.2f} x", growth <= 1.5
    return [row, other], {"growth": growth, "rounds_with_a_wrong_context": wrong}


def files(pair: Pair, repeats: int) -> list[Row]:
    """Building a bridge, keeping it, and having it again."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "pair.safetensors"
        paths = []
        for name, tokenizer in (("target", pair.target), ("draft", pair.draft)):
            paths.append(Path(folder) / name)
            paths[-1].write_text(tokenizer.backend_tokenizer.to_str(), encoding="utf-8")
        objects = pair.target, pair.draft

        def build(sides: Any) -> Callable[[], object]:
            return lambda: Bridge(*sides).core

        def save() -> None:
            bridge = Bridge(*paths)
            _ = bridge.tables, bridge.classes
            spent.append(timed(lambda: bridge.save(kept)) * 1e6)

        spent: list[float] = []
        rows = [
            Row("bridge from tokenizer.json files", median_of(build(paths), repeats)),
            Row("bridge from tokenizers of transformers", median_of(build(objects), repeats)),
        ]
        for _ in range(repeats):
            save()
        rows.append(Row(f"save ({kept.stat().st_size / 1e6:.0f} MB)", statistics.median(spent)))
        rows.append(
            Row("load, from tokenizer.json files", median_of(lambda: Bridge.load(kept, *paths), repeats))
        )
        rows.append(
            Row(
                "load, from tokenizers of transformers",
                median_of(lambda: Bridge.load(kept, *objects), repeats),
            )
        )
        return rows


def machine() -> dict[str, Any]:
    """What a reader needs to know of the machine."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "load": round(os.getloadavg()[0], 1),
    }


def shown(microseconds: float | None) -> str:
    if microseconds is None:
        return ""
    return f"{microseconds:.1f} us" if microseconds < 1e4 else f"{microseconds / 1e3:.1f} ms"


def table(rows: list[Row]) -> str:
    """The result for people."""
    verdict = {None: "", True: "met", False: "MISSED"}
    cells = [("", "anydraft", "transformers", "ratio", "goal", "")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.0f}x"
        cells.append((row.what, shown(row.ours), shown(row.peer), ratio, row.goal, verdict[row.met]))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        left, *numbers, goal, met = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        lines.append("  ".join([left.strip().ljust(widths[0]), *numbers, goal.strip().ljust(widths[4]), met]))
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    torch.set_grad_enabled(False)
    target, draft = (load_tokenizer(packaged(name)) for name in ("gemma3", "smollm2"))
    pair = Pair(target, draft, Bridge(target, draft))
    about = machine()
    rows = tables(pair, options.repeats)
    memory = np.ones(64 << 20, dtype=np.uint8)
    facts: dict[str, Any] = {"rounds": options.rounds}
    for state, before in (("caches swept", memory.sum), ("caches warm", lambda: None)):
        trips, facts[state] = round_trips(pair, options.rounds, state, before)
        rows += trips
    rows += files(pair, options.repeats)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(table(rows))
    wrong = facts["caches swept"]["rounds_with_a_wrong_context"].items()
    print(f"rounds whose draft saw a wrong text, of {options.rounds}:", end=" ")
    print(", ".join(f"{name} {count}" for name, count in wrong))
    if options.json:
        result = {
            "date": datetime.now(timezone.utc).date().isoformat(),
            "machine": about,
            "microseconds": [asdict(row) for row in rows],
            **facts,
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if any(row.met is False for row in rows):
        sys.exit("a goal was missed")


if __name__ == "__main__":
    main()
