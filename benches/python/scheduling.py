"""What scheduling brings: simple rules, the scheduler of another checkout and this one's, by turns.

    python benches/python/scheduling.py [--before CHECKOUT] [--json FILE] [--pairs tiny] [--sets code]

Columns are speeds beside the target alone in the same loop, with a standard error over prompts: "simple"
looks up where the text matches, else drafts a fixed length, and leaves out what does not pay; "before" is
``"auto"`` of CHECKOUT, a folder with another revision and its compiled extension, run by a second process
that waits while this one decodes; "lines", with ``--lines``, and "now" are ``"auto"`` here, without trees and
with them. A decode's seconds are all but the target's pass
over the prompt: what the draft takes to read it counts. Everybody starts each cell (a pair, a prompt set, a
temperature) without knowledge and keeps what it learns from prompt to prompt; the order rotates. At
temperature 0 all outputs have to be the same. ``--set NAME=VALUE`` changes a constant of the cost model, for
ablations.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from anydraft import Speculator
from anydraft.bench.contenders import Nothing
from anydraft.bench.sets import SETS

PAIRS = {"tiny": (3, 48), "gemma3": (3, 48), "deep-smollm2": (2, 32)}
"""Prompts of each set, and new tokens for each."""

MEMORY, LENGTHS, TRIAL, WAIT = 0.95, {"lookup": 8, "draft": 4}, 3, 32


class Simple:
    """Look up where the text matches, else draft a fixed length; leave out what was slower than nothing."""

    def __init__(self, method: str) -> None:
        self.methods = ("lookup", method)
        self._speeds = {name: [0.0, 0.0, 0] for name in ("none", *self.methods)}  # tokens, seconds, rounds
        self._waits = dict.fromkeys(self.methods, WAIT)
        self._rested = dict.fromkeys(self.methods, 0)

    def choose(self, limit: int, backlog: int | None, match: int) -> Any:
        from anydraft.scheduling.directors import Choice

        if self._speeds["none"][2] < 2 or limit < 1:
            return None
        lookup, draft = self.methods
        for name, possible in ((lookup, match > 0), (draft, backlog is not None)):
            if possible and self._pays(name):
                length = LENGTHS["lookup" if name == lookup else "draft"]
                return Choice(name, min(length, limit))
        return None

    def _pays(self, name: str) -> bool:
        tokens, seconds, rounds = self._speeds[name]
        plain_tokens, plain_seconds, _ = self._speeds["none"]
        if rounds < TRIAL or tokens * plain_seconds > plain_tokens * seconds:
            return True
        self._rested[name] += 1
        if self._rested[name] < self._waits[name]:
            return False
        self._rested[name], self._waits[name] = 0, 2 * self._waits[name]
        self._speeds[name] = [0.0, 0.0, 0]
        return True

    def observe(self, choice: Any, seen: Any) -> None:
        if seen.fed > seen.proposed + 1 and choice is None:
            return
        kept = self._speeds[choice.method if choice else "none"]
        kept[:] = MEMORY * kept[0] + seen.emitted, MEMORY * kept[1] + seen.seconds, kept[2] + 1


class Here:
    """Decodes with the package of this process."""

    def __init__(self, load: Callable[[str], Any], who: Sequence[str] = ("now",)) -> None:
        self._load, self._who = load, who
        self._name, self._parts, self._bridge = "", (), None

    def begin(self, pair: str, temperature: float, warm: Sequence[str] = ("simple",)) -> None:
        """A new cell: nothing is known. ``warm``: who runs first, for tables and slow first calls."""
        if pair != self._name:
            self._name, self._parts, self._bridge = pair, (), None  # one pair at a time is held
            self._parts = self._load(pair).parts
        self._pairs = self._made()
        self._simple = Simple("slem" if temperature == 0 else "tli")
        for who in (*warm, *self._who):
            self.run(who, "def f(x):\n", 4, temperature, 0)
        self._pairs = self._made()
        self._simple = Simple("slem" if temperature == 0 else "tli")

    def _made(self) -> dict[str, Speculator]:
        """A pair that knows nothing yet for each setting; another checkout may know fewer settings."""
        now = Speculator(*self._parts, memory="off", bridge=self._bridge)
        self._bridge = now.bridge
        if "lines" not in self._who:
            return {"now": now}
        lines = Speculator(*self._parts, memory="off", bridge=self._bridge, tree="off")
        return {"now": now, "lines": lines}

    def run(self, who: str, prompt: str, tokens: int, temperature: float, seed: int) -> dict[str, Any]:
        """Decode one prompt: the ids, and the seconds of all but the target's pass over it."""
        torch.manual_seed(seed)  # not seed=: that would keep the clock out of what is drafted
        pair = self._pairs.get(who, self._pairs["now"])
        stream = pair.stream(prompt, max_new_tokens=tokens, temperature=temperature)
        if who not in self._pairs:
            stream._row.director = self._simple if who == "simple" else Nothing()
        ids: list[int] = []
        reading, began = 0.0, perf_counter()
        for event in stream:
            if not ids:
                reading = stream.stats.target_seconds
            ids += event.token_ids
        return {"ids": ids, "seconds": perf_counter() - began - reading, "stats": vars(stream.stats)}


class There:
    """The same in a process of its own, with the package of another checkout."""

    def __init__(self, checkout: Path, threads: int) -> None:
        paths = [str(checkout / "python"), str(checkout / "benches/python")]
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def ask(self, what: str, *arguments: Any) -> Any:
        """Call a method of its :class:`Here`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def begin(self, pair: str, temperature: float) -> None:
        """See :class:`Here`."""
        self.ask("begin", pair, temperature, [])

    def run(self, who: str, *arguments: Any) -> Any:
        """See :class:`Here`."""
        return self.ask("run", "now", *arguments)


def serve(here: Here) -> None:
    """Answer what :class:`There` asks."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(here, what)(*arguments)), file=answers, flush=True)


def cell(
    sides: dict[str, Any], pair: str, prompts: Sequence[str], temperature: float, tokens: int, repeats: int
) -> dict[str, Any]:
    """One prompt set at one temperature: everybody's speed beside the target alone, and its error."""
    for side in {id(side): side for side in sides.values()}.values():
        side.begin(pair, temperature)
    names, logs, runs = list(sides), {name: [] for name in sides}, []
    for turn in range(repeats):
        for number, prompt in enumerate(prompts):
            shift, seed = (number + turn) % len(names), 1000 * turn + number
            order = names[shift:] + names[:shift]
            found = {who: sides[who].run(who, prompt, tokens, temperature, seed) for who in order}
            pace = {who: one["seconds"] / len(one["ids"]) for who, one in found.items()}
            for who in names:
                if temperature == 0 and found[who]["ids"] != found["alone"]["ids"]:
                    sys.exit(f"{who} says something else than the target alone: {prompt!r}")
                logs[who].append(math.log(pace["alone"] / pace[who]))
            runs.append({who: {k: v for k, v in one.items() if k != "ids"} for who, one in found.items()})
    told = {}
    for who in names[1:]:
        speed = math.exp(statistics.mean(logs[who]))
        told[who] = [speed, speed * statistics.stdev(logs[who]) / math.sqrt(len(logs[who]))]
    return {"pair": pair, "temperature": temperature, "speeds": told, "runs": runs}


def summary(cells: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """By column: the geometric mean of the speeds, and the least."""
    found = {}
    for who in cells[0]["speeds"]:
        speeds = [one["speeds"][who][0] for one in cells]
        found[who] = [statistics.geometric_mean(speeds), min(speeds)]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--lines", action="store_true", help='also "auto" without trees')
    parser.add_argument("--pairs", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--temperatures", nargs="*", type=float, default=[0.0, 0.7])
    parser.add_argument("--prompts", type=int, help="prompts of each set, 2 or more; see PAIRS")
    parser.add_argument("--tokens", type=int, help="new tokens for each; see PAIRS")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="changed")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sys.path.append(str(Path(__file__).parent))
    from speed import pair_of

    who = ("lines", "now") if options.lines else ("now",)
    here = Here(lambda name: pair_of(name, argparse.Namespace(dtype="float32", deeper=None)), who)
    if options.worker:
        serve(here)
        return
    from anydraft.scheduling import cost, directors  # another checkout may have no such modules

    for change in options.changed:
        name, value = change.split("=")
        kept = type(getattr(cost, name))(value)  # names that there are, numbers only
        for module in (cost, directors):
            if hasattr(module, name):
                setattr(module, name, kept)
    sides: dict[str, Any] = {"alone": here, "simple": here}
    with tempfile.TemporaryDirectory() as empty:
        os.environ["ANYDRAFT_CACHE"] = empty  # no plan is found
        if options.before:
            sides["before"] = There(options.before, options.threads)
        sides.update(dict.fromkeys(who, here))
        print(f"{'':30}" + "".join(f"{who:>15}" for who in list(sides)[1:]), flush=True)
        settings = {k: v for k, v in vars(options).items() if k not in ("json", "before", "worker")}
        cells: list[dict[str, Any]] = []
        for pair in options.pairs:
            prompts, tokens = options.prompts or PAIRS[pair][0], options.tokens or PAIRS[pair][1]
            for name in options.sets:
                for temperature in options.temperatures:
                    found = cell(sides, pair, SETS[name][:prompts], temperature, tokens, options.repeats)
                    cells.append({**found, "set": name})
                    row = "".join(f"{v:9.2f} ±{e:.2f}" for v, e in found["speeds"].values())
                    print(f"{f'{pair}, {name}, T={temperature:g}':30}" + row, flush=True)
                    if options.json:
                        record = {"settings": settings, "cells": cells, "summary": summary(cells)}
                        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for who, (mean, least) in summary(cells).items():
        print(f"{who}: {mean:.3f} in the mean of all cells, {least:.2f} in the least")


if __name__ == "__main__":
    main()
