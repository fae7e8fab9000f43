"""How much a model reads for one token: a first guess of its pass time, and of what its head takes of it."""

from __future__ import annotations

from typing import Any


def pass_bytes(model: Any) -> int:
    """Bytes of weights that a pass over one token reads; experts of a mixture are all counted.

    Of an input embedding a pass reads one row, so only the output head counts, tied to it or not. What
    several layers share counts for each.
    """
    model = getattr(model, "_orig_mod", model)  # of a compiled one
    return max(1, _bytes(model) - _bytes(model.get_input_embeddings()))


def head_share(model: Any) -> float:
    """The share of the output head in what a pass reads."""
    return _bytes(model.get_output_embeddings()) / pass_bytes(model)


def _bytes(module: Any) -> int:
    return sum(
        parameter.numel() * parameter.element_size()
        for part in module.modules()
        for parameter in part.parameters(recurse=False)
    )
