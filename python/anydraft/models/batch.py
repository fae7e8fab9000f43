"""Several sequences of one transformers model, advanced in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.cache import new_cache
from anydraft.models.protocol import Model
from anydraft.models.ragged import Layout, RaggedLayer
from anydraft.models.transformers import TransformersModel

_MASKED = {"sdpa", "eager"}
"""Attention implementations that take a mask per sequence and token."""


def sequences(model: PreTrainedModel, count: int) -> list[Model]:
    """``count`` empty sequences of ``model``; in one batch where its attention can be masked per sequence."""
    alone = TransformersModel(model)
    if count == 1:
        return [alone]
    batch = TransformersBatch(alone, count)
    if not batch.possible:
        return [alone, *(TransformersModel(model) for _ in range(count - 1))]
    return list(batch.rows)


class TransformersBatch:
    """A model with the caches of several sequences, each of its own length."""

    def __init__(self, model: TransformersModel, count: int) -> None:
        """``model`` is asked for what it knows of itself; its own sequence is not used."""
        self.model = model
        self.rows = [TransformersRow(self, i) for i in range(count)]
        self._lengths = [0] * count
        self._closed: set[int] = set()
        self._slots = list(range(count))
        """The rows that are left in the stores, in order."""
        self._start()

    @property
    def possible(self) -> bool:
        """Whether the model's layers and attention can serve sequences of different lengths at once."""
        config = self.model.plain.config.get_text_config(decoder=True)
        layers = all(isinstance(layer, RaggedLayer) for layer in self._cache.layers)
        return layers and self.model.takes_positions and config._attn_implementation in _MASKED

    def length(self, row: int) -> int:
        """Number of cached tokens of a sequence."""
        return self._lengths[row]

    def crop(self, row: int, length: int) -> None:
        """Forget all but the first ``length`` cached tokens of a sequence."""
        if length < 0:
            raise ArgumentError(f"got a crop to {length} tokens; expected 0 or more")
        self._lengths[row] = min(self._lengths[row], length)

    def close(self, row: int) -> None:
        """A sequence will not be advanced again: the next pass does without it."""
        self._closed.add(row)

    @torch.no_grad()  # not inference_mode: a model may renew its own buffers, which must stay trainable
    def advance(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
        """Append ``ids[i]`` int64 ``[n_i]`` to sequence ``rows[i]``; logits ``[keep_i, vocab_size]`` of each.

        If the model raises, all caches are emptied and the error goes on.

        Raises:
            ArgumentError: wrong shapes, or an id outside the model's vocabulary.
            ModelError: the model was put in training mode, or returned no logits of the announced width.
        """
        for row_ids, wanted in zip(ids, keep, strict=True):
            self.model.check(row_ids, wanted)
        self._compact()
        given = dict(zip(rows, ids, strict=True))
        counts = [len(given[row]) if row in given else 0 for row in self._slots]
        self._layout.plan([self._lengths[row] for row in self._slots], counts)
        width = max(counts)
        blank = ids[0].new_zeros(width)
        fed = torch.stack(
            [
                torch.cat((blank[len(given[row]) :], given[row])) if row in given else blank
                for row in self._slots
            ]
        )
        most = max(keep)
        try:
            logits = self.model.run(
                fed, self._cache, most, position_ids=self._layout.positions, attention_mask=self._masks()
            )
        except BaseException:
            self._start()
            self._lengths = [0] * len(self._lengths)
            raise
        if logits.shape != (len(self._slots), most, self.model.vocab_size):
            raise ModelError(
                f"got logits of shape {list(logits.shape)}; "
                f"expected [{len(self._slots)}, {most}, {self.model.vocab_size}]"
            )
        for row, count in zip(self._slots, counts, strict=True):
            self._lengths[row] += count
        places = {row: slot for slot, row in enumerate(self._slots)}
        return [logits[places[row], most - wanted :] for row, wanted in zip(rows, keep, strict=True)]

    def _start(self) -> None:
        self._layout = Layout(self.model.device)
        self._cache = new_cache(self.model.plain, partial(RaggedLayer, self._layout))

    @property
    def _layers(self) -> list[RaggedLayer]:
        return [layer for layer in self._cache.layers if isinstance(layer, RaggedLayer)]

    def _compact(self) -> None:
        """Leave closed sequences out of the stores."""
        kept = [slot for slot, row in enumerate(self._slots) if row not in self._closed]
        if len(kept) < len(self._slots):
            for layer in self._layers:
                layer.retain(torch.tensor(kept))
            self._slots = [self._slots[slot] for slot in kept]

    def _masks(self) -> Any:
        """One mask for the model, or one a kind of layer where it has several."""
        config: Any = self.model.plain.config.get_text_config(decoder=True)
        kinds = list(getattr(config, "layer_types", None) or ())
        windows = [layer.window for layer in self._layers]
        made = {window: self._form(self._layout.mask(window), config) for window in set(windows)}
        if len(made) == 1:
            return made[windows[0]]
        return {kind: made[window] for kind, window in zip(kinds, windows, strict=False)}

    def _form(self, mask: Tensor, config: Any) -> Tensor:
        """What the attention implementation reads: bool for SDPA, numbers to be added for eager."""
        if config._attn_implementation == "sdpa":
            return mask
        dtype = self.model.dtype
        return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


class TransformersRow:
    """One sequence of a batch, as a model of its own."""

    def __init__(self, batch: TransformersBatch, row: int) -> None:
        """Made by :class:`TransformersBatch`."""
        self.batch = batch
        self.row = row

    @property
    def vocab_size(self) -> int:
        """Width of the logits."""
        return self.batch.model.vocab_size

    @property
    def window(self) -> int | None:
        """The longest context the model accepts, in tokens; ``None`` if unlimited."""
        return self.batch.model.window

    @property
    def device(self) -> torch.device:
        """Where ids go in and logits come out."""
        return self.batch.model.device

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return self.batch.length(self.row)

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """A pass in which the other sequences sit still; see :class:`Model`."""
        return self.batch.advance([self.row], [ids], [keep])[0]

    def crop(self, length: int) -> None:
        """See :class:`Model`."""
        self.batch.crop(self.row, length)

    def passed(self, seconds: float) -> None:
        """Nothing to note: the loop keeps the times."""

    def close(self) -> None:
        """This sequence will not be advanced again."""
        self.batch.close(self.row)
