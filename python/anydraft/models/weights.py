"""How much a model reads for one token: a first guess of its pass time, and of what its head takes of it."""

from __future__ import annotations

from typing import Any

from anydraft.models.few_rows import DraftWeights


def pass_bytes(model: Any, weights: DraftWeights = "shared") -> int:
    """Bytes of weights that a pass over one token reads; experts of a mixture are all counted.

    Of an input embedding a pass reads one row, so only the output head counts, tied to it or not. What
    several layers share counts for each. With ``weights="int8"`` every number is a byte.
    """
    model = getattr(model, "_orig_mod", model)  # of a compiled one
    embedding = model.get_input_embeddings()
    size = embedding.weight.element_size() if weights == "int8" else 1
    return max(1, (_bytes(model) - _bytes(embedding)) // size)


def head_share(model: Any) -> float:
    """The share of the output head in what a pass reads."""
    return _bytes(model.get_output_embeddings()) / pass_bytes(model)


def _bytes(module: Any) -> int:
    return sum(
        parameter.numel() * parameter.element_size()
        for part in module.modules()
        for parameter in part.parameters(recurse=False)
    )
