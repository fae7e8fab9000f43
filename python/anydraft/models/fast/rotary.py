"""Rotations of queries and keys by position, as a model's own embedding says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

GROWING = {"dynamic", "longrope"}
"""Rotary embeddings that embed a token differently when the text gets longer."""

_LEAST_TABLE = 1024

Rotation = tuple[Tensor, Tensor]
"""Cosine, and sine with the sign that goes with a rolled half: ``[n, 1, size]`` or ``[B, n, 1, size]``."""


class Rotary:
    """Rotations by position, taken from the model's own embedding once and kept in a table."""

    def __init__(self, decoder: Any) -> None:
        """``decoder``: the model without its head."""
        self._decoder = decoder
        self._tables: dict[tuple[str, torch.dtype], Rotation] = {}

    @property
    def read(self) -> list[Tensor]:
        """What the tables are made from."""
        return [buffer for rotary in _embeddings(self._decoder) for buffer in rotary.buffers()]

    def between(self, like: Tensor, kind: str, start: int, end: int) -> Rotation:
        """Of the positions from ``start`` to before ``end``."""
        cos, sin = self.all(like.dtype, kind, end)
        return cos.narrow(0, start, end - start), sin.narrow(0, start, end - start)

    def at(self, like: Tensor, kind: str, positions: Tensor | None, end: int) -> Rotation:
        """Of positions ``[B, n]``, all before ``end``."""
        cos, sin = self.all(like.dtype, kind, end)
        return cos[positions], sin[positions]

    def all(self, dtype: torch.dtype, kind: str, end: int) -> Rotation:
        """Of all positions before ``end``, and of more."""
        table = self._tables.get((kind, dtype))
        if table is None or len(table[0]) < end:
            size = max(_LEAST_TABLE, 1 << (end - 1).bit_length())
            device = self._decoder.embed_tokens.weight.device
            like = torch.empty(0, dtype=dtype, device=device)
            positions = torch.arange(size, device=device)[None]
            cos, sin = (values[0, :, None] for values in embedded(self._decoder, like, positions, kind))
            half = sin.shape[-1] // 2
            table = cos, torch.cat((-sin[..., :half], sin[..., half:]), -1)
            self._tables[kind, dtype] = table
        return table


def embedded(decoder: Any, like: Tensor, positions: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``[1, n, head size]`` by the model's own rotary embedding, as either version has it."""
    rotary, local = decoder.rotary_emb, getattr(decoder, "rotary_emb_local", None)
    if local is not None and kind == "sliding_attention":
        rotary = local
    found: tuple[Tensor, Tensor] = (
        rotary(like, positions, kind) if isinstance(rotary.rope_type, dict) else rotary(like, positions)
    )
    return found


def rope_types(decoder: Any) -> set[str]:
    """Which rotary embeddings a decoder has."""
    found: set[str] = set()
    for rotary in _embeddings(decoder):
        types = getattr(rotary, "rope_type", ())
        found |= set(types.values()) if isinstance(types, dict) else {types} if types else set()
    return found


def _embeddings(decoder: Any) -> Iterator[Any]:
    local = getattr(decoder, "rotary_emb_local", None)
    yield decoder.rotary_emb
    if local is not None:
        yield local
