"""How much a model reads for one token: a first guess of its pass time, and of what its head takes of it."""

from __future__ import annotations

from typing import Any


def pass_bytes(model: Any) -> int:
    """Bytes of weights that a pass over one token reads; experts of a mixture are all counted.

    An input embedding counts only if it is the output head too: of its rows a pass reads one.
    """
    model = getattr(model, "_orig_mod", model)  # of a compiled one
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = head is not None and getattr(head, "weight", None) is getattr(embedding, "weight", None)
    skipped = 0 if tied else _bytes(embedding)
    return max(1, _bytes(model) - skipped)


def head_share(model: Any) -> float:
    """The share of the output head in what a pass reads."""
    return _bytes(model.get_output_embeddings()) / pass_bytes(model)


def _bytes(module: Any) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
