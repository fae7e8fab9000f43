"""Several sequences of one transformers model, advanced in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.base import OWN_PASSES, Model, Passes
from anydraft.models.called import types_at
from anydraft.models.faithful import near, own, text, tried
from anydraft.models.joint import NO_TREES
from anydraft.models.kv_cache import new_cache
from anydraft.models.masks import MASKED, layer_masks
from anydraft.models.prefill import RowPrefill
from anydraft.models.proven import ALONE
from anydraft.models.ragged import Layout, RaggedLayer, better_alone
from anydraft.models.row import TransformersRow
from anydraft.models.transformers import TransformersModel


def sequences(model: Module, count: int, passes: Passes = OWN_PASSES) -> list[Model]:
    """``count`` empty sequences of ``model``; in one batch where its attention can be masked per sequence."""
    return sequences_of(lambda: TransformersModel(model, passes), count)


def sequences_of(make: Callable[[], TransformersModel], count: int) -> list[Model]:
    """The same of a model that ``make`` wraps, each time with an empty cache."""
    alone = make()
    if count == 1:
        return [alone]
    batch = batch_of(alone)
    if batch is None:
        return [alone, *(make() for _ in range(count - 1))]
    return [batch.add() for _ in range(count)]


def batch_of(model: TransformersModel) -> TransformersBatch | None:
    """A batch without sequences; ``None`` if rows of one pass would not get what each gets by itself."""
    if model.stateful or model.way.shift:  # states would read the filler of shorter rows
        return None
    batch = TransformersBatch(model)
    return batch if batch.possible and _as_alone(model) else None


def needed_batch(model: TransformersModel) -> TransformersBatch:
    """The same for a draft whose rows must share passes.

    Raises:
        ModelError: they cannot.
    """
    batch = batch_of(model)
    if batch is None:
        raise ModelError(
            f"got the draft {type(model.plain).__name__}, several texts of which cannot share a pass (it "
            "keeps states, or its scales, biases or attention are for all rows at once); expected plain "
            "layers and attn_implementation='sdpa' or 'eager'"
        )
    return batch


def whole_of(model: Model) -> Model:
    """The model that a sequence of a batch is one of; any other is itself."""
    return model.batch.model if isinstance(model, TransformersRow) else model


def renew(model: Model) -> None:
    """Have a sequence that was kept read the weights that its model has now."""
    whole = whole_of(model)
    if isinstance(whole, TransformersModel):
        whole.renew()


def _as_alone(model: TransformersModel) -> bool:
    """Whether rows of one pass get the logits that each has by itself; tried once if that is not known."""
    plain = model.plain
    if own(plain) and type(plain).__name__ in ALONE:
        return False
    return not tried(plain, "batch", lambda _: "" if _agrees(model) else "rows differ")


def _agrees(model: TransformersModel) -> bool:
    """Try two rows of different lengths; the sequence of ``model`` is empty before and after."""
    ids = text(model.plain)
    starts, steps = (6, 3), (2, 4)
    expected = []
    for start, n in zip(starts, steps, strict=True):
        expected.append(model.advance(ids[: start + n], n))
        model.crop(0)
    batch = TransformersBatch(model)
    rows = [batch.add().row for _ in starts]
    try:
        batch.advance(rows, [ids[:start] for start in starts], [1, 1])
        fed = [ids[start : start + n] for start, n in zip(starts, steps, strict=True)]
        found = batch.advance(rows, fed, list(steps))
    except Exception:
        return False
    return all(near(*pair) for pair in zip(found, expected, strict=True))


class TransformersBatch:
    """A model with the caches of several sequences, each of its own length. Sequences come and go."""

    def __init__(self, model: TransformersModel) -> None:
        """``model`` is asked for what it knows of itself; its own sequence is not used."""
        self.model = model
        self._next = 0
        self._slots: dict[int, int] = {}
        """Where each row is in the stores: the slots in use are 0, 1, 2, ... without a gap."""
        self._lengths: dict[int, int] = {}
        self.token_types: dict[int, Tensor] = {}
        """Of rows that have some: see :attr:`TransformersModel.token_types`."""
        self.prefills: dict[int, RowPrefill] = {}
        """Of rows that have one: see :attr:`TransformersModel.prefill`."""
        self._offsets: dict[int, Tensor] = {}
        """Of rows whose prefill was read: see :attr:`~anydraft.models.prefill.Read.offset`."""
        self._start()

    @property
    def possible(self) -> bool:
        """Whether the model's layers and attention can serve sequences of different lengths at once."""
        config = self.model.plain.config.get_text_config(decoder=True)
        if self.model.growing is not None or getattr(config, "alibi", False):
            return False  # scales, or biases, are made for all rows at once
        if self.model.stateful:
            return False  # states would read the filler of shorter rows
        layers = len(self._layers) == len(self._cache.layers)
        return layers and self.model.takes_positions and config._attn_implementation in MASKED

    def __len__(self) -> int:
        """Number of sequences that are open."""
        return len(self._slots)

    def add(self) -> TransformersRow:
        """An empty sequence."""
        row = self._next
        self._next += 1
        self._slots[row] = len(self._slots)
        self._lengths[row] = 0
        return TransformersRow(self, row)

    def length(self, row: int) -> int:
        """Number of cached tokens of a sequence; 0 for one that was closed."""
        return self._lengths.get(row, 0)

    def crop(self, row: int, length: int) -> None:
        """Forget all but the first ``length`` cached tokens of a sequence."""
        if length < 0:
            raise ArgumentError(f"got a crop to {length} tokens; expected 0 or more")
        if row in self._lengths and length < self._lengths[row]:
            whole = row in self.prefills and length < self.prefills[row].length
            self._lengths[row] = 0 if whole else length

    def prune(self, row: int, length: int, path: Sequence[int]) -> None:
        """Of a sequence's tokens behind the first ``length`` keep those in ``path``, by number."""
        kept, self._lengths[row] = length + len(path), 0  # an interrupt leaves an empty sequence
        if list(path) != list(range(len(path))):
            places = torch.tensor([length + i for i in path])
            for layer in self._layers:
                layer.gather(self._slots[row], length, places)
        self._lengths[row] = kept

    def close(self, row: int) -> None:
        """A sequence will not be advanced again: the last one takes its slot."""
        if row not in self._slots:
            return
        slot, last = self._slots[row], max(self._slots, key=self._slots.__getitem__)
        if last != row:
            for layer in self._layers:
                layer.move(self._slots[last], slot, self._lengths[last])
            self._slots[last] = slot
        del self._slots[row], self._lengths[row]
        self._offsets.pop(row, None)

    @torch.no_grad()  # not inference_mode: a model may renew its own buffers, which must stay trainable
    def advance(
        self,
        rows: Sequence[int],
        ids: Sequence[Tensor],
        keep: Sequence[int],
        trees: Mapping[int, Sequence[int]] = NO_TREES,
    ) -> list[Tensor]:
        """Append ``ids[i]`` int64 ``[n_i]`` to row ``rows[i]``; see :class:`~anydraft.models.joint.Batch`.

        One pass for all; sequences with many more new tokens than the others run alone, where that is less
        work. If the model raises, all caches are emptied and the error goes on.

        Raises:
            ArgumentError: wrong shapes, an id outside the model's vocabulary, or a sequence that was closed.
            ModelError: the model was put in training mode, or returned no logits of the announced width.
        """
        for row, row_ids, wanted in zip(rows, ids, keep, strict=True):
            if row not in self._slots:
                raise ArgumentError(f"got tokens for row {row}, which was closed; expected an open one")
            self.model.check(row_ids, wanted, None if self._lengths[row] else self.prefills.get(row))
        given = dict(zip(rows, ids, strict=True))
        wanted_of = dict(zip(rows, keep, strict=True))
        try:
            begun = {row: self._begin(row) for row in rows if row in self.prefills and not self._lengths[row]}
            following = {row: given[row][self._lengths[row] :] for row in begun}
            counts = {row: min(wanted_of[row], len(left)) for row, left in following.items()}
            found = self._advance({**given, **following}, {**wanted_of, **counts}, trees)
        except BaseException:
            self._start()
            self._lengths = dict.fromkeys(self._lengths, 0)
            raise
        for row, first in begun.items():
            behind = [found[row]] if row in found else []
            found[row] = torch.cat(([first] if wanted_of[row] > counts[row] else []) + behind)
        return [found[row] for row in rows]

    def _begin(self, row: int) -> Tensor:
        """Take over what the model has read of a row; the logits ``[1, V]`` after it."""
        read = self.prefills[row].read()
        self._layout.plan(self._slots[row], [0], [self.prefills[row].length])
        self._lengths[row], self._offsets[row] = read.fill(self._cache), read.offset
        return read.logits[None]

    def _advance(
        self,
        given: Mapping[int, Tensor],
        wanted_of: Mapping[int, int],
        trees: Mapping[int, Sequence[int]],
    ) -> dict[int, Tensor]:
        """Logits of the rows that are given any ids."""
        given = {row: row_ids for row, row_ids in given.items() if len(row_ids)}
        alone = better_alone({row: len(row_ids) for row, row_ids in given.items()}, len(self._slots))
        together = {row: row_ids for row, row_ids in given.items() if row not in alone}
        by_slot = sorted(self._slots, key=self._slots.__getitem__)
        found: dict[int, Tensor] = {}
        for row in alone:
            found |= self._pass([row], {row: given[row]}, wanted_of, trees)
        if together:
            found |= self._pass(by_slot, together, wanted_of, trees)
        return found

    def _pass(
        self,
        rows: Sequence[int],
        given: Mapping[int, Tensor],
        keep: Mapping[int, int],
        trees: Mapping[int, Sequence[int]],
    ) -> dict[int, Tensor]:
        """One pass over neighbouring slots; those of ``rows`` that are given nothing sit still."""
        counts = [len(given[row]) if row in given else 0 for row in rows]
        grown = {i: trees[row] for i, row in enumerate(rows) if row in trees and row in given}
        self._layout.plan(self._slots[rows[0]], [self._lengths[row] for row in rows], counts, grown)
        most = max(keep[row] for row in given)
        blank = next(iter(given.values())).new_zeros(max(counts))
        fed = [torch.cat((blank[len(given[row]) :], given[row])) if row in given else blank for row in rows]
        logits = self.model.run(
            torch.stack(fed),
            self._cache,
            most,
            position_ids=self._positions(rows),
            attention_mask=self._masks(),
            token_type_ids=self._types(rows, counts),
        )
        expected = [len(rows), most, self.model.vocab_size]
        if list(logits.shape) != expected:
            raise ModelError(f"got logits of shape {list(logits.shape)}; expected {expected}")
        for row, count in zip(rows, counts, strict=True):
            self._lengths[row] += count
        return {row: logits[i, most - keep[row] :] for i, row in enumerate(rows) if row in given}

    def _start(self) -> None:
        self._layout = Layout(self.model.device)
        self._cache = new_cache(self.model.plain, partial(RaggedLayer, self._layout))

    @property
    def _layers(self) -> list[RaggedLayer]:
        return [layer for layer in self._cache.layers if isinstance(layer, RaggedLayer)]

    def _masks(self) -> Any:
        """One mask for the model, or one a kind of layer where it has several."""
        windows = [layer.window for layer in self._layers]
        return layer_masks(self.model.plain, windows, self._layout, self.model.dtype)

    def _positions(self, rows: Sequence[int]) -> Tensor:
        """int64 ``[B, n]``, or ``[A, B, n]``: of the new tokens, as the model counts them."""
        counted = self._layout.positions
        if not self._offsets:
            return counted
        none = torch.zeros_like(next(iter(self._offsets.values())))
        offsets = torch.stack([self._offsets.get(row, none) for row in rows], -1)
        return (counted + offsets[..., None]).clamp(min=0)  # filler may be below

    def _types(self, rows: Sequence[int], counts: Sequence[int]) -> Tensor | None:
        """int64 ``[B, n]``: the types of the new tokens, if any row has some; 0 for filler."""
        if not self.token_types:
            return None
        made = torch.zeros_like(self._layout.positions)
        for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
            if count and row in self.token_types:
                made[i, -count:] = types_at(self.token_types[row], self._lengths[row], count)
        return made
