"""Decodes at random for so many seconds, each checked: ``python benches/python/soak.py SECONDS [SEED]``.

Pairs, prompts, methods, temperatures, lengths, kept caches, batches through ``generate``, streams that are
closed or broken off: drawn anew each time. Greedy output is compared with the target's own; counters are
added up from the events. Memory, files and threads are counted after a quarter of the time and at the end:
exit status 1 if memory grew by 2 % or more, if files or threads did at all, or if anything was wrong.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/support"))

import torch

import anydraft
import small
import trained
from plain import alone

METHODS = ["tli", "slem", "pushforward", "slrs", "auto", "lookup"]
PROMPTS = [
    "The quick brown fox",
    "def fib(n):",
    "12345 67",
    "日本語の",
    "Ça va",
    "The dog sleeps; the fox",
    "🙂",
]
PAGE = os.sysconf("SC_PAGE_SIZE")


def measured() -> tuple[float, int, int]:
    """Resident memory in MB, open files, threads."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6
    return resident, len(os.listdir("/proc/self/fd")), threading.active_count()


class Soak:
    """Pairs that are used again and again, and what was seen."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.worlds = [trained.pair(), trained.pair(swap=True), small.pair(seed=3)]
        lengths: list[Any] = [1, 4, 7, "auto"]
        self.pairs = [
            (parts, anydraft.Speculator(*parts, method=method, num_draft_tokens=self.chance.choice(lengths)))
            for parts in self.worlds
            for method in METHODS
        ]
        self.customs = [
            anydraft.custom_generate(*parts[1:], method=pair.method) for parts, pair in self.pairs
        ]

    def once(self) -> None:
        """One decode of a kind that is drawn."""
        which = self.chance.randrange(len(self.pairs))
        (target, *_), pair = self.pairs[which]
        kind = self.chance.choice(
            [self.greedy, self.sampled, self.given_up, self.interrupted, self.kept, self.batch]
        )
        self.custom = self.customs[which]
        kind(target, pair, self.chance.choice(PROMPTS), self.chance.randrange(1, 40))
        self.done[kind.__name__] += 1

    def greedy(self, target: Any, pair: anydraft.Speculator, prompt: str, n: int) -> None:
        stream = pair.stream(prompt, max_new_tokens=n)
        events = list(stream)
        ids = [token for event in events for token in event.token_ids]
        assert ids == alone(target, stream.prompt_ids, n), (prompt, n)
        assert stream.stats.accepted == sum(event.accepted for event in events)
        assert stream.stats.tokens == len(ids)
        assert stream.stats.target_passes == len(events)

    def sampled(self, target: Any, pair: anydraft.Speculator, prompt: str, n: int) -> None:
        options: dict[str, Any] = {"temperature": self.chance.choice([0.5, 1.0, 1.5]), "seed": n}
        first, second = (pair.generate(prompt, max_new_tokens=n, **options).token_ids for _ in range(2))
        assert first == second, (prompt, options)

    def given_up(self, target: Any, pair: anydraft.Speculator, prompt: str, n: int) -> None:
        stream = pair.stream(prompt, max_new_tokens=n)
        next(stream)
        stream.close()
        assert list(stream) == []

    def interrupted(self, target: Any, pair: anydraft.Speculator, prompt: str, n: int) -> None:
        def raising(ids: Any, scores: Any) -> bool:
            if self.chance.random() < 0.2:
                raise KeyboardInterrupt
            return False

        with contextlib.suppress(KeyboardInterrupt):
            pair.generate(prompt, max_new_tokens=n, stopping_criteria=[raising])
        self.greedy(target, pair, prompt, n)

    def kept(self, target: Any, pair: anydraft.Speculator, prompt: str, n: int) -> None:
        caches = pair.engine.caches()
        for _ in range(3):
            out = pair.generate(self.chance.choice(PROMPTS), max_new_tokens=n, caches=caches)
            assert out.token_ids == alone(target, out.prompt_ids, n)

    def batch(self, target: Any, pair: anydraft.Speculator, prompt: str, n: int) -> None:
        ids = torch.tensor([pair.engine.prompt(prompt).ids] * 3)
        out = target.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=n,
            custom_generate=self.custom,
        )
        assert out[:, ids.shape[1] :].tolist() == [alone(target, ids[0].tolist(), n)] * 3


def main(seconds: float, seed: int = 0) -> int:
    """Decode, and say what was seen."""
    soak = Soak(seed)
    began = time.monotonic()
    before = None
    while (passed := time.monotonic() - began) < seconds:
        soak.once()
        if before is None and passed > seconds / 4:
            before = measured()
    after = measured()
    assert before is not None
    growth = after[0] / before[0] - 1
    print(f"{soak.done.total()} decodes in {seconds:.0f} s, all right: {dict(soak.done.most_common())}")
    for name, first, last in zip(("memory, MB", "open files", "threads"), before, after, strict=True):
        print(f"{name}: {first:.0f} after a quarter, {last:.0f} at the end")
    print(f"growth of memory: {growth:+.2%}")
    return int(growth >= 0.02 or after[1] > before[1] or after[2] > before[2])


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), *map(int, sys.argv[2:])))
