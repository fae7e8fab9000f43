"""What a round costs in the core after a long text without a break, beside prose, and beside another build.

    python benches/python/long_runs.py [--length N] [--rounds N] [--beside CORE.so]

Target Gemma-3-270M; drafts SmolLM2-135M-Instruct and ``tiny`` (tokenizers only; no model runs). A round
commits 5 target tokens and proposes 5 draft tokens, and goes on with the same kind of text. Median
milliseconds of CPU time. With ``--beside`` the same rounds are run by another compiled ``_core`` in the same
process, in turns, and both must have the same view after every round.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import random
import statistics
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from anydraft import _core, drafts
from anydraft.loading.folders import load_tokenizer, packaged

TOKENS = 5


def texts(length: int) -> dict[str, str]:
    """Of so many characters, by name."""
    order = random.Random(0)

    def some(alphabet: str) -> str:
        return "".join(order.choices(alphabet, k=length))

    return {
        "prose": ("The quick brown fox jumps over the lazy dog, and so it goes. " * length)[:length],
        "DNA": some("ACGT"),
        "letters": some("abcdefghijklmnopqrstuvwxyz"),
        "spaces": " " * length,
        "newlines": "\n" * length,
        "digits": some("0123456789"),
        "Han": some("".join(map(chr, range(0x4E00, 0x5E00)))),
        "signs": some("-=+*"),
        "mixed space": some(" \n\t"),
        "Thai": ("ภาษาไทยไม่มีช่องว่างระหว่างคำ" * length)[:length],
    }


def other_core(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("anydraft._core", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"got {path}; expected a compiled extension")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Contender:
    """A session of one build of the core."""

    def __init__(self, core: Any, target: str, draft: str) -> None:
        self.core = core
        self.target, self.draft = core.Tokenizer.from_json(target), core.Tokenizer.from_json(draft)
        self.bridge = core.Bridge(self.target, self.draft, [], [])

    def begin(self, context: list[int]) -> None:
        self.session = self.core.Session(self.bridge, [], [])
        self.session.commit(context, [])

    def round(self, committed: list[int], drafted: list[int]) -> float:
        gc.disable()
        began = time.process_time()
        self.session.propose(drafted)
        self.session.commit(committed, drafted)
        spent = time.process_time() - began
        gc.enable()
        return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--length", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    cores = {"this": _core} | ({"beside": other_core(options.beside)} if options.beside else {})
    sides = {"SmolLM2": load_tokenizer(packaged("smollm2")), "tiny": drafts.load("tiny").tokenizer}
    target = load_tokenizer(packaged("gemma3")).backend_tokenizer.to_str()
    print(f"{options.length} characters, {options.rounds} rounds; median ms of CPU a round")
    print("".join(f"{name:>10}" for name in ("draft", "text", *cores, "ratio")))
    for name, tokenizer in sides.items():
        made = {
            which: Contender(core, target, tokenizer.backend_tokenizer.to_str())
            for which, core in cores.items()
        }
        for kind, text in texts(options.length).items():
            spent = run(made, text, options.rounds)
            ratio = f"{spent['beside'] / spent['this']:.0f}x" if options.beside else ""
            row = (name, kind, *(f"{value:.3f}" for value in spent.values()), ratio)
            print("".join(f"{cell:>10}" for cell in row), flush=True)


def run(made: dict[str, Contender], text: str, rounds: int) -> dict[str, float]:
    """Milliseconds of a round, by build; raises if they disagree."""
    first = next(iter(made.values()))
    ids = first.target.encode(text.encode()) or []
    drafted = (first.draft.encode(text[:64].encode()) or [])[:TOKENS]
    committed = [ids[i * TOKENS % 100 :][:TOKENS] for i in range(rounds)]
    spent: dict[str, list[float]] = {name: [] for name in made}
    for contender in made.values():
        contender.begin(ids)
    for n, new in enumerate(committed):
        for name in list(made)[:: 1 if n % 2 else -1]:
            spent[name].append(made[name].round(new, drafted))
        views = {tuple(contender.session.view()) for contender in made.values()}
        if len(views) > 1:
            raise SystemExit("the builds disagree")
    return {name: 1e3 * statistics.median(times) for name, times in spent.items()}


if __name__ == "__main__":
    main()
