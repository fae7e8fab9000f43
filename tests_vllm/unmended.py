"""What vLLM does with a fixed proposal: the share accepted beside the probability that the target gives it.

    python tests_vllm/unmended.py MODEL_FOLDER [--samples 200] [--mend]

On a CPU vLLM 0.32 accepts by a temperature that was never written, unless it is mended as anydraft's proposer
does. Run in the environment that ``make test-vllm`` makes. MODEL_FOLDER is a transformers folder.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="2", VLLM_LOGGING_LEVEL="ERROR")

PROMPT = "The capital of France is"
PROPOSAL = "UNMENDED_PROPOSAL"


class Fixed:
    """A proposer for vLLM that always proposes the same token."""

    def __init__(self, _: Any) -> None:
        """Nothing to set up."""

    def load_model(self, *_: Any, **__: Any) -> None:
        """There is none."""

    def propose(self, sampled: list[list[int]], *_: Any, **__: Any) -> list[list[int]]:
        """See vLLM's interface for proposers."""
        return [[int(os.environ[PROPOSAL])] if ids else [] for ids in sampled]


def main() -> None:
    """Draw two tokens many times; look at those whose first token is the commonest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--mend", action="store_true")
    options = parser.parse_args()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from vllm import LLM, SamplingParams

    tokenizer: Any = AutoTokenizer.from_pretrained(options.model)
    model: Any = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    prompt = tokenizer(PROMPT)["input_ids"]

    def law(ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return torch.softmax(model(torch.tensor([ids])).logits[0, -1], -1)

    first = int(law(prompt).argmax())
    following = law([*prompt, first])
    likely = following.argsort(descending=True)
    engine = LLM(
        model=options.model,
        dtype="float32",
        enforce_eager=True,
        max_model_len=64,
        speculative_config={
            "method": "custom_class",
            "model": "unmended.Fixed",
            "num_speculative_tokens": 1,
        },
    )
    if options.mend:
        from anydraft.integrations.vllm.faults import mend

        mend()
    for rank in (0, 5):
        token = int(likely[rank])
        os.environ[PROPOSAL] = str(token)
        wanted = SamplingParams(temperature=1.0, max_tokens=2, n=options.samples, ignore_eos=True)
        said = [list(output.token_ids) for output in engine.generate(PROMPT, wanted)[0].outputs]
        after = Counter(ids[1] for ids in said if ids[0] == first)
        print(
            f"proposed {tokenizer.decode([token])!r}, to which the target gives {following[token]:.2f}: "
            f"it came in {after[token] / after.total():.0%} of {after.total()} cases"
        )


if __name__ == "__main__":
    main()
