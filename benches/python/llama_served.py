"""Eight requests at once with a target in llama.cpp: in one batch, and one after another.

    python benches/python/llama_served.py

Tokens per second, the best of two, drafts of the packaged model or none.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests_llama"), str(ROOT / "tests" / "support")]

import anydraft  # noqa: E402
from files import file, opened  # noqa: E402
from jobs import Asked, running  # noqa: E402
from real_pair import PROMPTS  # noqa: E402

COUNT, LENGTH, THREADS = 8, 32, 2


def rate(pair: anydraft.Speculator, most: int, method: Any) -> float:
    """Tokens per second of the second of two goes."""
    seconds, tokens = 0.0, 0
    with running(pair, max_batch=most) as scheduler:
        for _ in range(2):
            asked = [Asked(pair, text, method=method, max_new_tokens=LENGTH) for text in PROMPTS[:COUNT]]
            began = time.perf_counter()
            for one in asked:
                scheduler.submit(one.job)
            for one in asked:
                one.text()
            seconds = time.perf_counter() - began
            tokens = sum(len(event.token_ids) for one in asked for event in one.events)
    return tokens / seconds


def main() -> None:
    draft, tokenizer = anydraft.drafts.load("tiny")
    kinds: tuple[Any, ...] = ("own", "f16")
    for kind in kinds:
        llama = opened(file("smollm2", kind), n_ctx=1024, n_threads=THREADS, n_threads_batch=THREADS)
        pair = anydraft.Speculator(llama, draft, None, tokenizer, memory="off")
        for method in ("none", None):
            rates = {most: [] for most in (1, COUNT)}
            for _ in range(2):
                for most, found in rates.items():
                    found.append(rate(pair, most, method))
            told = ", ".join(f"max_batch {most}: {max(found):.1f}" for most, found in rates.items())
            print(f"SmolLM2 {kind}, {'no draft' if method else 'auto'}: {told} tokens/s", flush=True)


if __name__ == "__main__":
    main()
