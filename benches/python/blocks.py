"""How far a pass over several tokens is from passes over one: as transformers runs a model, and as we do.

    python benches/python/blocks.py [--tokens 2 5 8 16] [--context 120] [--texts 8]

SmolLM2-135M-Instruct in float32 and bfloat16, on texts in three languages and code. Each block is read after
the same context, once in one pass and once token by token, the way being the same both times: "transformers"
is the model itself with the cache that transformers makes, "model" the same with our cache
(weights="model"), "unpacked" and "packed" our own passes. Printed are the largest difference of a logit as a
share of the largest logit, the largest total variation of the next token's law at temperature 1, the mean of
both, and how often the likeliest token is another.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import torch
from rich.table import Table
from transformers import DynamicCache

from anydraft.cli.terminal import console
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.quiet import quiet
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel

TEXTS = [
    "The harbour was quiet when the last boat came in, and nobody on the quay spoke of what had been lost. ",
    "def quicksort(items):\n    if len(items) < 2:\n        return items\n    pivot, *rest = items\n",
    "In einer kleinen Stadt am Fluss lebte ein Uhrmacher, der keine Uhr besaß und doch nie zu spät kam. ",
    "Photosynthesis turns carbon dioxide and water into sugar and oxygen, using the energy of light. ",
    "SELECT name, sum(amount) FROM orders JOIN customers USING (id) GROUP BY name ORDER BY 2 DESC;\n",
    "La bibliothèque ouvrait à neuf heures, mais le vieux gardien arrivait toujours un peu plus tôt. ",
    "Question: what is 17 times 23? Answer: 17 times 20 is 340 and 17 times 3 is 51, together 391. ",
    "{'name': 'anydraft', 'kind': 'library', 'numbers': [1, 1, 2, 3, 5, 8, 13, 21], 'open': True}\n",
]


class Own:
    """A model called as it is, with the cache that transformers makes."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.crop(0)

    def advance(self, ids: torch.Tensor, keep: int = 1) -> torch.Tensor:
        output = self._model(input_ids=ids[None], past_key_values=self._cache, logits_to_keep=keep)
        logits: torch.Tensor = output.logits[0]
        return logits

    def crop(self, length: int) -> None:
        if length:
            self._cache.crop(length - self._cache.get_seq_length())
        else:
            self._cache = DynamicCache(config=self._model.config)


@torch.no_grad()
def distances(run: Any, text: torch.Tensor, context: int, tokens: int) -> list[tuple[float, float, bool]]:
    """Of every token of a block: of its logits, of its law, and whether another token is the likeliest."""
    run.crop(0)
    run.advance(text[:context])
    block = run.advance(text[context : context + tokens], tokens).double()
    run.crop(context)
    single = torch.cat([run.advance(text[i : i + 1]) for i in range(context, context + tokens)]).double()
    far = (block - single).abs().amax(-1) / single.abs().amax(-1)
    laws = (block.softmax(-1) - single.softmax(-1)).abs().sum(-1) / 2
    other = block.argmax(-1) != single.argmax(-1)
    return list(zip(far.tolist(), laws.tolist(), other.tolist(), strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="*", default=[2, 5, 8, 16])
    parser.add_argument("--context", type=int, default=120)
    parser.add_argument("--texts", type=int, default=len(TEXTS))
    options = parser.parse_args()
    model: Any = load_model(packaged("smollm2"))
    tokenizer = load_tokenizer(packaged("smollm2"))
    length = options.context + max(options.tokens)
    texts = [torch.tensor((tokenizer(text * 40)["input_ids"])[:length]) for text in TEXTS[: options.texts]]
    table = Table(title=f"a block after {options.context} tokens, against its tokens one by one")
    for column in ("dtype", "passes"):
        table.add_column(column)
    for column in ("tokens", "logits, largest", "mean", "law, largest TV", "mean TV", "other likeliest"):
        table.add_column(column, justify="right")
    for dtype in (torch.float32, torch.bfloat16):
        model.to(dtype)
        for name in ("transformers", "model", "unpacked", "packed"):
            run = Own(model) if name == "transformers" else TransformersModel(model, FastPasses(name))
            for tokens in options.tokens:
                found = [one for text in texts for one in distances(run, text, options.context, tokens)]
                logits, laws, others = (list(values) for values in zip(*found, strict=True))
                table.add_row(
                    str(dtype).removeprefix("torch."),
                    name,
                    str(tokens),
                    f"{max(logits):.1e}",
                    f"{statistics.mean(logits):.1e}",
                    f"{max(laws):.1e}",
                    f"{statistics.mean(laws):.1e}",
                    f"{sum(others)} of {len(others)}",
                )
    console().print(table)


if __name__ == "__main__":
    with quiet():
        main()
