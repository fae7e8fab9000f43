"""By how much llama.cpp's logits differ between reading tokens one by one and in blocks.

    python benches/python/llama_rows.py [--threads 1]

The packaged models at their own precision (SmolLM2-135M: Q4_1, Gemma-3-270M: Q4_K_M), in Q4_0 and in F16,
with flash attention and without. 16 tokens after 300: the largest difference of a logit, by the size of the
blocks.
"""

from __future__ import annotations

import argparse
from itertools import product

import llama_cpp
import torch

from anydraft.bench.llama_cpp import converted
from anydraft.cli import generate
from anydraft.loading.packaged import packaged
from anydraft.models.llama_cpp.source import LlamaCppSource

BEFORE, READ = 300, 16
SIZES = (2, 3, 4, 5, 8, 16)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    text = str(generate.EPILOG + generate.__doc__) * 9
    print(f"{'file':14}{'flash':7}" + "".join(f"{size:>8}" for size in SIZES))
    for name, kind, flash in product(("smollm2", "gemma3"), ("own", "q4_0", "f16"), (True, False)):
        path = packaged(name)  # type: ignore[arg-type]
        llama = llama_cpp.Llama(
            str(path if kind == "own" else converted(path, kind)),  # type: ignore[arg-type]
            n_ctx=512,
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=flash,
            verbose=False,
        )
        ids = torch.tensor(llama.tokenize(text.encode()))[: BEFORE + READ]
        model = LlamaCppSource(llama).sequence()
        model.advance(ids[:BEFORE])
        one_by_one = torch.cat([model.advance(part) for part in ids[BEFORE:].split(1)])
        found = []
        for size in SIZES:
            model.crop(BEFORE)
            blocks = torch.cat([model.advance(part, len(part)) for part in ids[BEFORE:].split(size)])
            found.append(float((blocks - one_by_one).abs().max()))
        print(f"{name + ' ' + kind:14}{flash!s:7}" + "".join(f"{most:8.3f}" for most in found), flush=True)


if __name__ == "__main__":
    main()
