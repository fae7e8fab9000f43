"""What a GPU shows of the speed, and of the exactness in real numbers; run.sh calls it.

    python benches/gpu/measure.py --weights FOLDER_OR_GGUF [--sections passes speed] [--json FILE]

The target is SmolLM2-135M-Instruct widened to the matrix shapes of a 7B model (anydraft/bench/widened.py):
its text is SmolLM2's, its passes cost what 5.6 billion weights cost. The draft is the packaged one, which has
another tokenizer. Sections: ``drift``, ``passes``, ``rounds``, ``speed``; each is written to the file as soon
as it is done, and one that fails is reported and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from anydraft import Speculator, drafts
from anydraft.bench.contenders import Ours, Theirs
from anydraft.bench.prompts import PROMPTS
from anydraft.bench.widened import SEVEN, widen
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.quiet import quiet
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel

SIZES = (1, 2, 4, 8, 16)
"""Tokens of the passes that are timed."""
CONTEXT = 200
ROUNDS = ("slem", "tli", "slrs")
SAMPLE = [PROMPTS[name][i] for name in ("code", "prose") for i in (0, 1)]


class Bench:
    """The models, and what was found so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Load the small models; the wide one is made when it is needed."""
        self.options = options
        self.device = torch.device(options.device)
        self.found: dict[str, Any] = {"machine": machine(self.device)}
        self.tokenizer = load_tokenizer(options.tokenizer or options.weights)
        self.small = load_model(options.weights, torch.float32)
        packaged = drafts.load("tiny")
        self.draft, self.draft_tokenizer = packaged.model, packaged.tokenizer
        self._kept: dict[str, Any] = {}

    def run(self, sections: Sequence[str]) -> bool:
        """All sections; whether none failed."""
        fine = True
        for name in sections:
            began = time.perf_counter()
            print(f"\n## {name}", flush=True)
            try:
                self.found[name] = SECTIONS[name](self)
            except Exception:
                fine = False
                self.found[name] = {"failed": traceback.format_exc()}
                traceback.print_exc()
            print(f"({time.perf_counter() - began:.0f} s)", flush=True)
            self.keep(name, self.found[name])
        return fine

    def keep(self, section: str, found: Any) -> None:
        """Write what was found so far: the machine may be taken away at any time."""
        self.found[section] = found
        if self.options.json:
            self.options.json.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")

    def model(self, name: str, dtype: torch.dtype) -> Any:
        """``draft``, ``small`` or ``wide`` on the device."""
        key = f"{name} {dtype}"
        if key not in self._kept:
            if name == "wide":
                shape = SEVEN if self.options.wide == 0 else dict.fromkeys(SEVEN, self.options.wide)
                self._kept[key] = widen(self.small, **shape, dtype=dtype, device=self.device)
            else:
                model = self.draft if name == "draft" else self.small
                self._kept[key] = type(model)(model.config).to(dtype).to(self.device).eval()
                self._kept[key].load_state_dict(model.state_dict())
                self._kept[key].generation_config = model.generation_config
        return self._kept[key]

    def parts(self, target: str, dtype: torch.dtype) -> tuple[Any, ...]:
        """Models and tokenizers of a pair."""
        return self.model(target, dtype), self.model("draft", dtype), self.tokenizer, self.draft_tokenizer

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def machine(device: torch.device) -> dict[str, str]:
    """What ran it."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    return {
        "device": name,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


@torch.no_grad()
def drift(bench: Bench) -> dict[str, Any]:
    """How far the logits of a pass over k tokens are from those of k passes over one: rounding alone."""
    found: dict[str, Any] = {}
    text = torch.tensor(bench.tokenizer(" ".join(PROMPTS["prose"]))["input_ids"][: CONTEXT + 64])
    text = text.to(bench.device)
    for dtype in (torch.float32, torch.bfloat16):
        for target in ("small", "wide"):
            if target == "wide" and dtype == torch.float32 and not bench.options.wide:
                continue
            model = bench.model(target, dtype)
            one = TransformersModel(model)
            single = torch.cat([one.advance(token[None]) for token in text]).float()
            for k in (4, 8):
                several = TransformersModel(model)
                blocks = torch.cat([several.advance(part, len(part)) for part in text.split(k)]).float()
                apart = (blocks - single).abs().amax(-1)
                top = single.topk(2, -1).values
                flips = blocks.argmax(-1) != single.argmax(-1)
                found[f"{target} {dtype} k={k}"] = row = {
                    "largest difference": apart.max().item(),
                    "median difference": apart.median().item(),
                    "largest logit": single.abs().max().item(),
                    "other argmax": int(flips.sum()),
                    "of": len(text),
                    "widest gap where it is another": max(
                        (top[:, 0] - top[:, 1])[flips].tolist(), default=0.0
                    ),
                }
                print(f"{target:6}{dtype!s:16} k={k}: {row}", flush=True)
    return found


@torch.no_grad()
def passes(bench: Bench) -> dict[str, Any]:
    """Milliseconds of one pass over k tokens, by who runs it."""
    found: dict[str, Any] = {}
    ids = torch.arange(100, 100 + CONTEXT, device=bench.device)
    for name in ("draft", "small", "wide"):
        model = bench.model(name, getattr(torch, bench.options.dtype))
        ways = {
            "own": FastPasses("model"),
            "one by one": FastPasses("unpacked", record=False),
            "recorded": FastPasses("unpacked"),
        }
        if bench.options.compile and name != "small":  # compiling takes as long as for the wide one
            ways["compiled"] = FastPasses("unpacked", compile=True)
        runners = {}
        for way, chosen in ways.items():
            began = time.perf_counter()
            runner = TransformersModel(model, chosen)
            runner.warm()
            runner.advance(ids)
            bench.wait()
            runners[way] = runner
            print(f"{name}, {way}: ready in {time.perf_counter() - began:.1f} s", flush=True)
        for k in SIZES:
            spent: dict[str, list[float]] = {way: [] for way in ways}
            for turn in range(bench.options.repeats + 2):
                for way, runner in runners.items():
                    bench.wait()
                    began = time.perf_counter()
                    runner.advance(ids[:k], k)
                    bench.wait()
                    if turn > 1:
                        spent[way].append(1e3 * (time.perf_counter() - began))
                    runner.crop(CONTEXT)
            found[f"{name} k={k}"] = {way: statistics.median(times) for way, times in spent.items()}
            print(
                f"{name} k={k}: "
                + ", ".join(f"{way} {ms:.2f} ms" for way, ms in found[f"{name} k={k}"].items())
            )
    return found


def rounds(bench: Bench) -> dict[str, Any]:
    """Kernel launches, waits and time outside both models of a round, for each method."""
    found: dict[str, Any] = {}
    parts = bench.parts("small", getattr(torch, bench.options.dtype))
    for method in ROUNDS:
        for temperature in (0.0, 0.7):
            pair = Speculator(*parts, method=method, num_draft_tokens=4, weights="unpacked")
            given: dict[str, Any] = {"max_new_tokens": 48, "temperature": temperature, "seed": 1}
            pair.generate(SAMPLE[0], **given)
            out = pair.generate(SAMPLE[0], **given)
            row = {
                "rounds": out.stats.target_passes,
                "tokens per round": len(out.token_ids) / out.stats.target_passes,
                "accepted": out.stats.accepted / max(1, out.stats.proposed),
                "outside the models": out.stats.overhead,
                "draft failed": out.draft_failure,
            }
            if bench.device.type == "cuda":
                row |= {"waits a round": waits(lambda p=pair, g=given: p.generate(SAMPLE[0], **g))}
                row["waits a round"] /= out.stats.target_passes
                row["launches a round"] = (
                    launches(lambda p=pair, g=given: p.generate(SAMPLE[0], **g)) / out.stats.target_passes
                )
            found[f"{method} T={temperature:g}"] = row
            print(f"{method} T={temperature:g}: {row}", flush=True)
    return found


def waits(run: Callable[[], Any]) -> float:
    """How often the host waits for the device."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in told)


def launches(run: Callable[[], Any]) -> float:
    """How many kernels are launched, one by one or as a graph."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        run()
    names = (
        "cudaLaunchKernel",
        "cudaLaunchKernelExC",
        "cuLaunchKernel",
        "cuLaunchKernelEx",
        "cudaGraphLaunch",
    )
    return sum(event.count for event in seen.key_averages() if event.key in names)


def speed(bench: Bench) -> dict[str, Any]:
    """Tokens per second of everybody, turn by turn, with a target in the shapes of a 7B model.

    First what needs no compiling, at both temperatures: the machine may be taken away at any time.
    """
    found: dict[str, Any] = {}
    parts = bench.parts("wide", getattr(torch, bench.options.dtype))
    for compiled in (False, True) if bench.options.compile else (False,):
        for temperature in (0.0, 0.7):
            contest(bench, found, contenders(parts, temperature, compiled=compiled), temperature)
    if bench.device.type == "cuda":
        found["peak memory, GiB"] = torch.cuda.max_memory_allocated() / 2**30
        print(f"peak memory: {found['peak memory, GiB']:.2f} GiB")
    return found


def contenders(parts: tuple[Any, ...], temperature: float, *, compiled: bool) -> dict[str, Any]:
    """Who takes part, by name."""
    way: dict[str, Any] = {"compile": True} if compiled else {}
    suffix = ", compiled" if compiled else ""
    method = "slem" if temperature == 0 else "slrs"
    alone = Ours(parts, "slem", 4, **way)
    alone.alone = True
    everybody: dict[str, Any] = {
        f"target alone{suffix}": alone,
        f"{method}{suffix}": Ours(parts, method, 4, **way),
        f"auto{suffix}": Ours(parts, "auto", "auto", **way),
    }
    if not compiled:
        everybody["transformers"] = Theirs(parts, assisted=False)
        everybody["transformers, assisted"] = Theirs(parts, assisted=True)
    return everybody


def contest(bench: Bench, found: dict[str, Any], everybody: dict[str, Any], temperature: float) -> None:
    """Have ``everybody`` decode the same prompts turn by turn; rows are added to ``found`` as they come."""
    ids = [bench.tokenizer(prompt)["input_ids"] for prompt in SAMPLE]
    for name in list(everybody):
        began = time.perf_counter()
        try:
            for _ in range(2 if name.startswith("auto") else 1):
                everybody[name](ids[0], 24, temperature, 0)
        except Exception as error:  # transformers' may not run: the others are measured all the same
            found[f"{name} T={temperature:g}"] = {"failed": f"{type(error).__name__}: {error}"}
            print(f"{name} failed: {type(error).__name__}: {str(error)[:300]}", flush=True)
            del everybody[name]
        else:
            print(f"{name}: first call {time.perf_counter() - began:.1f} s", flush=True)
    runs: dict[str, list[Any]] = {name: [] for name in everybody}
    alone = next(iter(everybody))
    for turn in range(bench.options.turns):
        for number, prompt in enumerate(ids):
            for name, contender in everybody.items():
                bench.wait()
                runs[name].append(contender(prompt, bench.options.tokens, temperature, 10 * turn + number))
                row = told(runs[name], runs[alone] if temperature == 0 else [])
                found[f"{name} T={temperature:g}"] = row
            bench.keep("speed", found)
    for name in everybody:
        print(f"{name} T={temperature:g}: {found[f'{name} T={temperature:g}']}", flush=True)


def told(runs: Sequence[Any], alone: Sequence[Any]) -> dict[str, Any]:
    """The row of a contender; ``alone``: greedy runs of the target alone with the same prompts, so far."""
    counted, seconds = sum(run.counted for run in runs), sum(run.seconds for run in runs)
    row: dict[str, Any] = {
        "tokens per second": counted / seconds,
        "tokens per pass": counted / max(1, sum(run.passes for run in runs)),
        "runs": [round(run.counted / run.seconds, 2) for run in runs],
        "method": runs[-1].method,
        "outside the models": statistics.mean(run.stats.overhead for run in runs if run.stats)
        if runs[-1].stats
        else None,
    }
    if alone:
        row["same text as the target alone"] = sum(a.ids == b.ids for a, b in zip(runs, alone, strict=False))
    return row


SECTIONS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "passes": passes,
    "speed": speed,
    "rounds": rounds,
    "drift": drift,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, help="SmolLM2-135M-Instruct: a folder or a GGUF file")
    parser.add_argument("--tokenizer", help="its tokenizer, if it lies elsewhere")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--sections", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--wide", type=int, default=0, help="another width for the wide model: a rehearsal")
    parser.add_argument("--tokens", type=int, default=96, help="new tokens for each prompt")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15, help="of each pass that is timed")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bench = Bench(options)
    print(bench.found["machine"])
    sys.exit(0 if bench.run(options.sections) else 1)


if __name__ == "__main__":
    with quiet():
        main()
