"""Which part of the draft's output head is computed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Module

from anydraft.bridge.bridge import Bridge
from anydraft.errors import ArgumentError
from anydraft.models.base import Model
from anydraft.models.batch import TransformersBatch, batch_of, renew, sequences_of, whole_of
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.trimmed_head import TrimmedHead, TrimmedModel, kept_rows, trimmed_head
from anydraft.models.fast.twin import weights_of
from anydraft.models.row import TransformersRow
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import DraftWeights, head_share

Wish = Literal["auto", "full", "shared"]
"""``"shared"``: only tokens that the target has too; ``"auto"``: that, where it saves much and suits."""

Rows = Sequence[int]
"""Ids of draft tokens, such as ``anydraft.training.shrink.kept_rows(tokenizer, texts, 16_000).rows``."""

MOST_KEPT = 0.6
"""With more of its rows kept, a head is not worth a second copy of them."""

LEAST_SHARE = 0.1
"""A head that is less of the model is not worth it either."""

SUITED = 0.95
"""Share of a text's tokens that must be among the rows kept for the trimmed head to be used on it."""


class DraftHead:
    """The draft's sequences, with its head trimmed to the tokens that the target has too, where that pays.

    Kept are draft tokens whose bytes are a target token, partners of control tokens, and all tokens of white
    space, which in code carry nearly all that the others are used for. What the draft cannot say any more it
    does not draft; its law is that of the rows kept, so that the output stays exact. Of a draft that
    :mod:`anydraft.training.shrink` has made the rows kept are those that it names; and a user may say which.

    Raises:
        ArgumentError: rows that the draft's vocabulary does not have; or some of the head only, and passes
            that are to be the model's own.
    """

    def __init__(self, model: Module, bridge: Bridge, wish: Wish | Rows, passes: FastPasses) -> None:
        """Nothing is computed until a sequence is asked for."""
        self._model = model
        self._bridge = bridge
        self.passes = passes
        self._wish: Wish = wish if isinstance(wish, str) else "shared"
        self._rows = None if isinstance(wish, str) else _checked(wish, len(bridge.draft))
        self._made: list[TrimmedHead | None] = []
        """The head, once it was needed."""
        if passes.weights == "model" and self._wish == "shared":
            raise ArgumentError(
                f"got draft_head={'shared' if self._rows is None else 'rows'!r} and draft_weights='model'; "
                "expected 'full' or 'auto': with a trimmed head a pass is not the model's own"
            )

    def sequence(self) -> TransformersModel:
        """The draft with an empty cache."""
        head = self._head()
        if head is None:
            return TransformersModel(self._model, self.passes)
        return TrimmedModel(self._model, head, self.passes)

    def sequences(self, count: int) -> list[Model]:
        """Several of them, in one batch where that is possible."""
        return sequences_of(self.sequence, count)

    def renew(self, model: Model) -> None:
        """Have a sequence that was kept read the weights that the draft has now."""
        renew(model)
        whole, head = whole_of(model), self._head()
        if isinstance(whole, TrimmedModel) and head is not None:
            whole.head = head

    def refresh(self) -> None:
        """Gather the rows anew when they are next needed."""
        self._made.clear()

    def set_for(self, model: Model, view: Sequence[int]) -> bool:
        """Use what suits the text of draft ids ``view``; whether that is the trimmed head.

        A batch has one head: it is trimmed as long as that suits all texts that were begun in it.
        """
        shared, whole = isinstance(model, TransformersRow), whole_of(model)
        if not isinstance(whole, TrimmedModel):
            return False
        if self._wish == "auto":
            read = self._kept[torch.tensor(view[-4096:], dtype=torch.int64)]
            suits = len(view) == 0 or bool(read.float().mean() >= SUITED)
            whole.trims = suits and (whole.trims or not shared)
        return whole.trims

    def trims(self, model: Model) -> bool:
        """Whether a sequence uses the trimmed head now: of a batch, a later text may have changed that."""
        whole = whole_of(model)
        return isinstance(whole, TrimmedModel) and whole.trims

    def batch(self) -> TransformersBatch | None:
        """A batch without sequences; ``None`` if each must be a :meth:`sequence` of its own."""
        return batch_of(self.sequence())

    @property
    def weights(self) -> DraftWeights:
        """What the draft multiplies by."""
        return weights_of(self._model, self.passes.weights, drafts=self.passes.drafts)

    @cached_property
    def _kept(self) -> Tensor:
        """bool ``[D]``."""
        own = self._rows or (kept_rows(self._model) if self._wish == "auto" else None)
        if own is not None:
            named = torch.zeros(len(self._bridge.draft), dtype=torch.bool)
            named[[row for row in own if row < len(named)]] = True
            return named
        tokenizer = self._bridge.draft
        kept = torch.from_numpy(self._bridge.tables.draft_to_target) >= 0
        for token in (~kept).nonzero().squeeze(-1).tolist():
            if tokenizer.bytes(token).isspace():
                kept[token] = True
        return kept

    def _head(self) -> TrimmedHead | None:
        """Made once, and anew where the model's has changed."""
        if not self._made or (self._made[0] is not None and not self._made[0].holds(self._model)):
            self._made = [None]  # the memory of the old one first
            self._made = [self._trimmed()]
        return self._made[0]

    def _trimmed(self) -> TrimmedHead | None:
        if self._wish == "full" or self.passes.weights == "model":
            return None
        plain = TransformersModel(self._model, self.passes)
        rows = (torch.from_numpy(self._bridge.tables.draft_to_target) >= 0).sum()
        small = rows <= MOST_KEPT * plain.vocab_size and head_share(plain.plain) >= LEAST_SHARE
        if self._wish == "auto" and not small and kept_rows(self._model) is None:
            return None
        return trimmed_head(self._model, self._kept.nonzero().squeeze(-1), self.weights)


def _checked(rows: Rows, size: int) -> list[int]:
    found = sorted({int(row) for row in rows})
    if not found or found[0] < 0 or found[-1] >= size:
        got = f"{found[0]} to {found[-1]}" if found else "none"
        raise ArgumentError(f"got draft_head with rows {got}; expected ids from 0 to {size - 1}")
    return found
