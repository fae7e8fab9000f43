"""What the proposer for servers costs beside its draft model, at short and long contexts.

    python benches/python/proposer_costs.py [--requests 8] [--rounds 60] [--json FILE]

Real tokenizers (target Gemma-3-270M, draft SmolLM2-135M-Instruct); the draft is a stand-in of one tiny layer
with the real vocabulary, because its passes are not what is measured. Requests grow by 3 tokens a round of a
real text. Reported: milliseconds of our own code per request and round, median over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from anydraft import Bridge
from anydraft.bench.long_prompts import ARTICLES
from anydraft.integrations.vllm.drafter import Drafter
from anydraft.loading.folders import load_tokenizer, packaged
from anydraft.models.batch import TransformersBatch
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel

SIZES = (1_000, 8_000, 32_000)
GROWTH = 3
GOAL = 0.2


def stand_in(vocabulary: int) -> Any:
    """A model of one small layer with a real vocabulary and a short window: it reads a suffix."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=256,
    )
    return LlamaForCausalLM(config).eval()


def measure(size: int, requests: int, rounds: int, target: Any, bridge: Bridge) -> float:
    """Median milliseconds per request and round at ``size`` tokens of context."""
    model = TransformersModel(stand_in(len(bridge.draft)), FastPasses(drafts=True))
    drafter = Drafter(
        bridge, TransformersBatch(model), lambda ids: ([], ids), most_tokens=5, most_requests=64, adapt=False
    )
    text = "\n".join(ARTICLES)
    ids = target(text)["input_ids"]
    ids = (ids * (1 + (size + GROWTH * rounds) // len(ids)))[: size + GROWTH * (rounds + 1)]
    table = np.zeros((requests, len(ids) + requests), dtype=np.int32)
    for i in range(requests):
        table[i, : len(ids)] = ids[i:] + ids[:i]
    spent = []
    for n in range(rounds):
        end = size + GROWTH * n
        rows = [table[i, :end] for i in range(requests)]
        before = drafter.counts.own_seconds
        drafter.propose(rows, [GROWTH] * requests, [10**6] * requests)
        spent.append(drafter.counts.own_seconds - before)
    return 1000 * statistics.median(spent[2:]) / requests


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    target, draft = (load_tokenizer(packaged(name)) for name in ("gemma3", "smollm2"))
    bridge = Bridge(target, draft)
    found = {}
    for size in SIZES:
        found[size] = measure(size, options.requests, options.rounds, target, bridge)
        met = "met" if found[size] <= GOAL else "MISSED"
        print(f"{size:6} tokens: {found[size]:.3f} ms per request and round (goal {GOAL}: {met})")
    print(f"32k beside 1k: {found[SIZES[-1]] / found[SIZES[0]]:.2f} x")
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
