"""How the package is built, in figures, for one checkout or for several side by side.

    python benches/python/structure.py [CHECKOUT ...]

Without a path: this checkout. Each needs its compiled ``_core`` in ``python/anydraft``. Nothing is timed, so
the figures are the same on every machine with the same Python.

- Modules, classes (statements ``class``) and constants (names in capitals, set in a module) are read from
  the sources. "Scheduling" is what decides what is drafted: the package of that name, the planner and the
  vLLM drafter's cost model; in checkouts without such a package the modules named in ``SCHEDULING``.
- The decode path: all modules of ours that a process has imported after one greedy and one sampled
  ``Speculator.generate`` of a tiny pair of transformers models; lines that are not blank.
- One round: a pair that has learnt a text, blocks of 5 draft tokens, ``slem`` greedy and ``slrs`` at
  temperature 1, the passes run by transformers (``weights="model"``: what runs ours follows measured times);
  the mean of 20 rounds, first and last ones of a decode left out. Calls are those of functions of ours (a
  comprehension is none, a generator that goes on is one); moves are calls that lead from one file of ours
  into another; calls into Rust those of methods of ``_core``.
- Words in the glossary: rows or items under "Glossary" in ARCHITECTURE.md.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

HERE = Path(__file__).resolve().parents[2]

SCHEDULING = {
    *("lookahead", "mixture", "expectation", "rounds", "timing", "plans", "plan_store", "planner"),
    *("serving/payoff", "integrations/vllm/payoff"),
}
"""Modules that decide what is drafted, outside of ``scheduling/``."""

ROUNDS = 20
PROMPTS = ["The quick", "def fib(n):", "Ça va", "12345 67", "The dog sleeps", "return n", "日本語の"]


# From the sources.


def written(checkout: Path) -> dict[str, float]:
    """The figures that can be read."""
    package = checkout / "python" / "anydraft"
    modules = {path.relative_to(package).with_suffix("").as_posix(): path for path in package.rglob("*.py")}
    scheduling = [p for name, p in modules.items() if name.startswith("scheduling/") or name in SCHEDULING]
    return {
        "modules at the top": sum("/" not in name and name != "__init__" for name in modules),
        "modules": len(modules),
        "lines": sum(map(lines, modules.values())),
        "classes": sum(map(classes, modules.values())),
        "scheduling: lines": sum(map(lines, scheduling)),
        "scheduling: classes": sum(map(classes, scheduling)),
        "scheduling: constants": sum(map(constants, scheduling)),
        "words in the glossary": words((checkout / "ARCHITECTURE.md").read_text(encoding="utf-8")),
    }


def lines(path: Path) -> int:
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def classes(path: Path) -> int:
    return sum(isinstance(node, ast.ClassDef) for node in ast.walk(tree(path)))


def constants(path: Path) -> int:
    found: set[str] = set()
    for node in tree(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = chain.from_iterable(ast.walk(target) for target in targets if target is not None)
        found |= {name.id for name in names if isinstance(name, ast.Name)}
    return sum(re.fullmatch("_?[A-Z][A-Z0-9_]*", name) is not None for name in found)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def words(page: str) -> int:
    """Rows of a table, without its head, or items of a list, in the section about words."""
    _, found, after = page.partition("\n## Glossary\n")
    section = re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0] if found else ""
    rows, items = (re.findall(mark, section, re.MULTILINE) for mark in (r"^\|", r"^[-*] "))
    return max(0, len(rows) - 2) + len(items)


# From a run, in a process that imports the checkout's own package.


def run(checkout: Path) -> dict[str, float]:
    """The figures that take a decode."""
    path = [checkout / "python", HERE / "tests" / "support"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*map(str, path), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    found = subprocess.run(
        [sys.executable, __file__, "--run"], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    if Path(figures.pop("package")).parents[1] != checkout:  # type: ignore[arg-type]
        raise SystemExit(f"another anydraft than that of {checkout} was imported")
    return figures


def decode() -> dict[str, Any]:
    """Run in the child: the decode path first, before anything else could import more."""
    import torch

    import anydraft
    import small
    import trained
    from anydraft import _core

    torch.set_num_threads(1)
    package = Path(anydraft.__file__).parent
    pair = anydraft.Speculator(*small.pair(), memory="off")
    pair.generate("The quick", max_new_tokens=20)
    pair.generate("The quick", max_new_tokens=20, temperature=1.0, seed=0)
    ours = {
        Path(module.__file__)
        for name, module in sys.modules.items()
        if name.partition(".")[0] == "anydraft" and module.__file__ and module.__file__.endswith(".py")
    }
    figures: dict[str, Any] = {
        "package": str(package),
        "decode path: modules": len(ours),
        "decode path: lines": sum(map(lines, ours)),
    }
    for method, temperature in (("slem", 0.0), ("slrs", 1.0)):
        options: Any = {"method": method, "num_draft_tokens": 5, "weights": "model"}
        pair = anydraft.Speculator(*trained.pair(), memory="off", **options)
        watch = Watch(package, _core)
        for step in rounds(pair, temperature):
            watch.run(step)
        figures |= {f"one round of {method}: {name}": value for name, value in watch.means().items()}
    return figures


def rounds(pair: Any, temperature: float) -> Iterator[Callable[[], object]]:
    """``ROUNDS`` rounds to be run, none of them the first two or the last of a decode."""
    left = ROUNDS
    for seed, prompt in enumerate(PROMPTS * ROUNDS):
        plan = {"max_new_tokens": 40, "temperature": temperature, "seed": seed}
        count = len(list(pair.stream(prompt, **plan)))
        stream = pair.stream(prompt, **plan)
        for number in range(count - 1):
            if number < 2:
                next(stream)
                continue
            yield lambda stream=stream: next(stream)  # type: ignore[misc]
            left -= 1
            if left == 0:
                return


class Watch:
    """What is called in a round."""

    def __init__(self, package: Path, core: ModuleType) -> None:
        self._package = str(package) + os.sep
        self._models = self._package + "models" + os.sep
        self._core = tuple(kind for kind in vars(core).values() if isinstance(kind, type))
        self._rounds = self._calls = self._moves = self._rust = self._files = self._passes = 0
        self._seen: set[str] = set()

    def run(self, step: Callable[[], object]) -> None:
        self._seen.clear()
        sys.setprofile(self._event)
        try:
            step()
        finally:
            sys.setprofile(None)
        self._rounds += 1
        self._files += len(self._seen)

    def means(self) -> dict[str, float]:
        counted = {
            "files": self._files,
            "Python calls": self._calls,
            "Python calls outside models/": self._calls - self._passes,
            "moves between files": self._moves,
            "calls into Rust": self._rust,
        }
        return {name: count / self._rounds for name, count in counted.items()}

    def _event(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            self._rust += isinstance(getattr(what, "__self__", None), self._core)
        elif event == "call" and self._is_ours(frame) and frame.f_code.co_name not in COMPREHENSIONS:
            self._calls += 1
            self._passes += frame.f_code.co_filename.startswith(self._models)
            self._seen.add(frame.f_code.co_filename)
            caller = frame.f_back
            while caller is not None and not self._is_ours(caller):
                caller = caller.f_back
            self._moves += caller is not None and caller.f_code.co_filename != frame.f_code.co_filename

    def _is_ours(self, frame: FrameType) -> bool:
        return frame.f_code.co_filename.startswith(self._package)


COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>"}


def main(given: Sequence[Path]) -> None:
    checkouts = [path.resolve() for path in given] or [HERE]
    columns = [{**written(checkout), **run(checkout)} for checkout in checkouts]
    names = list(dict.fromkeys(chain.from_iterable(columns)))
    heads = [commit(checkout) for checkout in checkouts]
    rows = [["", *heads], *([name, *(shown(column.get(name)) for column in columns)] for name in names)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        print("  ".join([first.ljust(widths[0]), *map(str.rjust, rest, widths[1:])]).rstrip())


def commit(checkout: Path) -> str:
    asked = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found.stdout.strip() or checkout.name


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkouts", nargs="*", type=Path, help="folders of checkouts; by default this one")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        print(json.dumps(decode()))
    else:
        main(asked.checkouts)
