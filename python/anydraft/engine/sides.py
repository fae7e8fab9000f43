"""A model as a user has it, whatever runs it, as what a decode asks for: the one place that opens models."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import torch

from anydraft.bridge.bridge import Bridge
from anydraft.engine.places import Adding
from anydraft.errors import ArgumentError
from anydraft.models.base import Model
from anydraft.models.batch import TransformersBatch, batch_of, renew, sequences
from anydraft.models.fast.runner import FastPasses, forget
from anydraft.models.llama_cpp.objects import end_ids, is_llama
from anydraft.models.llama_cpp.sequences import LlamaCppBatch
from anydraft.models.llama_cpp.source import LlamaCppSource
from anydraft.models.prefill import placeholders
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import DraftWeights, Weights, pass_bytes
from anydraft.proposers.draft_head import DraftHead, Rows, Wish
from anydraft.proposers.masks import check_masks


class Side(Protocol):
    """One model of a pair."""

    vocab_size: int
    """Width of its logits."""
    window: int | None
    """The longest text that it accepts, in tokens; ``None`` if unlimited."""
    placeholders: frozenset[int]
    """Ids that stand in a prompt for pictures and sounds."""
    masks: Sequence[int]
    """What a draft reads to see further than the next token; see :mod:`anydraft.models.ahead`."""
    device: torch.device
    """Where ids go in and logits come out."""
    bytes: int
    """Bytes of weights that a pass over one token reads, as the model has them."""
    description: str
    """What tells it, and how it is run, from others."""

    def sequence(self) -> Model:
        """The model with an empty cache."""

    def sequences(self, count: int) -> list[Model]:
        """Several of them, in one batch where that is possible."""

    def batch(self) -> Adding | None:
        """A batch without sequences, which come and go; ``None`` where they cannot share passes."""

    def renew(self, model: Model) -> None:
        """Have a sequence that was kept go on with the weights that the model has now."""

    def refresh(self) -> None:
        """Make anew what was made of the weights."""

    def suit(self, model: Model, view: Sequence[int]) -> bool:
        """Have a draft compute what suits a text of its ids; whether that is not all of its logits."""

    def trims(self, model: Model) -> bool:
        """Whether a draft computes only a part of its logits."""

    def warm(self) -> None:
        """Have passes compiled or recorded that are to be."""


def generation_of(model: object) -> object:
    """A generation config of a model, or what says as much: where its texts end."""
    if is_llama(model):
        return SimpleNamespace(eos_token_id=end_ids(model))
    return getattr(model, "generation_config", None)


def rows_of(model: Any) -> int:
    """How many ids a model reads and says."""
    if is_llama(model):
        return int(model.n_vocab())
    return TransformersModel(model, FastPasses("model")).vocab_size


def target_side(model: Any, weights: Weights, compile: bool) -> Side:  # noqa: A002, FBT001
    """The model that speaks; errors as for :class:`~anydraft.Speculator`."""
    if is_llama(model):
        return LlamaCppSide(model, {"weights": weights})
    return TorchTarget(model, FastPasses(weights, compile))


def draft_side(
    model: Any,
    bridge: Bridge,
    head: Wish | Rows,
    weights: DraftWeights,
    compile: bool,  # noqa: A002, FBT001
) -> Side:
    """The model that drafts for it; errors as for :class:`~anydraft.Speculator`.

    Raises:
        ModelError: masks by which it looks ahead that it could also draft.
    """
    if is_llama(model):
        return LlamaCppSide(model, {"draft_weights": weights, "draft_head": head})
    side = TorchDraft(model, DraftHead(model, bridge, head, FastPasses(weights, compile, drafts=True)))
    check_masks(side.masks, bridge)
    return side


class TorchTarget:
    """A model of transformers that speaks."""

    def __init__(self, model: Any, passes: FastPasses) -> None:
        """``passes``: what runs the model's."""
        self._model, self._passes = model, passes
        opened = self.sequence()
        self.vocab_size, self.window, self.device = opened.vocab_size, opened.window, opened.device
        self.placeholders = placeholders(opened.plain)
        self.masks: Sequence[int] = ()
        self.bytes = pass_bytes(model)
        self.description = f"{type(model).__name__}, {self.bytes} bytes, {opened.dtype}"

    def sequence(self) -> TransformersModel:
        """See :class:`Side`."""
        return TransformersModel(self._model, self._passes)

    def sequences(self, count: int) -> list[Model]:
        """See :class:`Side`."""
        return sequences(self._model, count, self._passes)

    def batch(self) -> TransformersBatch | None:
        """See :class:`Side`."""
        return batch_of(self.sequence())

    def renew(self, model: Model) -> None:
        """See :class:`Side`."""
        renew(model)

    def refresh(self) -> None:
        """See :class:`Side`."""
        forget(self._model)

    def suit(self, model: Model, view: Sequence[int]) -> bool:
        """A target computes all of its logits."""
        return False

    def trims(self, model: Model) -> bool:
        """A target computes all of its logits."""
        return False

    def warm(self) -> None:
        """See :class:`Side`."""
        self.sequence().warm()


class TorchDraft:
    """A model of transformers that drafts."""

    def __init__(self, model: Any, head: DraftHead) -> None:
        """``head``: the part of its logits that is computed."""
        self._model, self._head = model, head
        opened = TransformersModel(model, head.passes)
        self.vocab_size, self.window, self.device = opened.vocab_size, opened.window, opened.device
        self.placeholders = placeholders(opened.plain)
        self.bytes = pass_bytes(model)
        read = pass_bytes(model, head.weights)
        self.masks: Sequence[int] = opened.masks.tolist()
        sees = f", {1 + len(self.masks)} ahead" if self.masks else ""
        self.description = f"{type(model).__name__}, {read} bytes, {opened.dtype}{sees}"

    def sequence(self) -> TransformersModel:
        """See :class:`Side`."""
        return self._head.sequence()

    def sequences(self, count: int) -> list[Model]:
        """See :class:`Side`."""
        return self._head.sequences(count)

    def batch(self) -> TransformersBatch | None:
        """See :class:`Side`."""
        return self._head.batch()

    def renew(self, model: Model) -> None:
        """See :class:`Side`."""
        self._head.renew(model)

    def refresh(self) -> None:
        """See :class:`Side`."""
        forget(self._model)
        self._head.refresh()

    def suit(self, model: Model, view: Sequence[int]) -> bool:
        """See :class:`Side`."""
        return self._head.set_for(model, view)

    def trims(self, model: Model) -> bool:
        """See :class:`Side`."""
        return self._head.trims(model)

    def warm(self) -> None:
        """See :class:`Side`."""
        self.sequence().warm()


class LlamaCppSide:
    """A model that llama.cpp runs, which speaks or drafts."""

    device = torch.device("cpu")
    placeholders: frozenset[int] = frozenset()
    masks: Sequence[int] = ()

    def __init__(self, model: Any, options: dict[str, Any]) -> None:
        """``options``: those of a pair that are for models of transformers, by name.

        Raises:
            ArgumentError: one of them asks for something.
        """
        for name, value in options.items():
            if value not in ("auto", "model", "full"):
                raise ArgumentError(
                    f"got {name}={value!r} and a model that llama.cpp runs; expected 'auto': its passes are "
                    "llama.cpp's own. Leave it out, or load the model with anydraft.load_model"
                )
        self._source = LlamaCppSource(model)
        self.vocab_size = int(model.n_vocab())
        self.window: int | None = int(model.n_ctx())
        self.bytes, self.description = self._source.bytes, self._source.description

    def sequence(self) -> Model:
        """See :class:`Side`."""
        return self._source.sequence()

    def sequences(self, count: int) -> list[Model]:
        """See :class:`Side`."""
        return self._source.sequences(count)

    def batch(self) -> LlamaCppBatch:
        """See :class:`Side`."""
        return self._source.batch()

    def renew(self, model: Model) -> None:
        """A file does not change; what could not be tried of it may be tried again."""
        self._source.begin()

    def refresh(self) -> None:
        """A file does not change."""

    def suit(self, model: Model, view: Sequence[int]) -> bool:
        """It computes all of its logits."""
        return False

    def trims(self, model: Model) -> bool:
        """It computes all of its logits."""
        return False

    def warm(self) -> None:
        """There is nothing to compile."""
