"""One process of a tensor-parallel run: see test_tensor_parallel.py. Prints what it generated as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

import anydraft  # noqa: E402
from clocks import Clock  # noqa: E402
from generate_parts import GoingOn  # noqa: E402


def main(folder: Path, parallel: bool) -> dict[str, Any]:
    rank = int(os.environ.get("RANK", 0))
    options = {"tp_plan": "auto"} if parallel else {}
    target = AutoModelForCausalLM.from_pretrained(folder / "target", **options).eval()
    draft = AutoModelForCausalLM.from_pretrained(folder / "draft").eval()
    tokenizer, draft_tokenizer = (
        AutoTokenizer.from_pretrained(folder / name) for name in ("target", "draft")
    )
    tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.eos_token
    custom = anydraft.custom_generate(draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    rows = tokenizer(["The quick", "Ça va", "12345 67"], return_tensors="pt", padding=True)
    inputs = {name: rows[name] for name in ("input_ids", "attention_mask")}
    single = {name: value[:1] for name, value in tokenizer(["Ça va"], return_tensors="pt").items()}
    single = {name: single[name] for name in inputs}
    if rank:  # by the clocks of this process everything takes an hour; none of them may have a say
        time.time, time.monotonic, time.perf_counter = Clock([3600.0]), Clock([3600.0]), Clock([3600.0])
    said: dict[str, Any] = {"tp": getattr(target, "_tp_size", None)}
    torch.manual_seed(rank)  # and a seed of its own
    call = {"custom_generate": custom, "max_new_tokens": 24}
    said["greedy"] = target.generate(**single, do_sample=False, **call).tolist()
    said["drafted"] = custom.stats[0].drafted > 0
    said["rows"] = target.generate(**inputs, do_sample=False, **call).tolist()
    said["sample"] = target.generate(**inputs, do_sample=True, **call).tolist()
    stateful = {"logits_processor": [GoingOn()], "return_dict_in_generate": True, "output_scores": True}
    walked = target.generate(**inputs, do_sample=False, **stateful, **call)
    said["walked"] = walked.sequences.tolist()
    said["walked scores"] = [float(step.logsumexp(-1).sum()) for step in walked.scores]
    said["timed"] = target.generate(**single, do_sample=False, max_time=600.0, **call).tolist()
    found = target.generate(
        **single, do_sample=False, return_dict_in_generate=True, output_scores=True, **call
    )
    said["scores"] = [float(step.logsumexp(-1)) for step in found.scores]
    pair = anydraft.Speculator(target, draft, tokenizer, draft_tokenizer, num_draft_tokens=5)
    said["pair"] = pair.generate("Ça va", max_new_tokens=24).token_ids
    auto = anydraft.Speculator(target, draft, tokenizer, draft_tokenizer)
    said["auto"] = auto.generate("Ça va", max_new_tokens=24, temperature=1.0).token_ids
    said["plain"] = target.generate(**single, do_sample=False, max_new_tokens=24).tolist()
    return said


if __name__ == "__main__":
    made = main(Path(sys.argv[1]), sys.argv[2:] == ["parallel"])
    Path(sys.argv[1], f"rank{os.environ.get('RANK', 'alone')}.json").write_text(json.dumps(made))
