"""A draft whose output head computes only the rows that can be proposed."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, nn

from anydraft.models.base import OWN_PASSES, Passes
from anydraft.models.fast.cpu_linear import FewRows
from anydraft.models.fast.fingerprint import Fingerprint
from anydraft.models.fast.twin import IN_BYTES, fits, ways_of
from anydraft.models.loaded import embedding_of, head_of, plain_of
from anydraft.models.transformers import TransformersModel
from anydraft.models.versions import cache_returned
from anydraft.models.weights import DraftWeights

KEPT_ROWS = "anydraft_kept_rows"
"""The entry of a model's configuration that lists the rows of its head to be computed, ascending."""

_CLOSE = {torch.float32: 1e-3, torch.float64: 1e-6}
"""How far logits of the trimmed head may be from the model's own, as a share of the largest; else 0.02."""


class TrimmedHead:
    """Some rows of a model's output head, gathered once, and what the model does with logits after it.

    The rows take ``rows * hidden size`` numbers of memory beside the model, nothing if they are the first
    ones, and as many again where a packed copy pays; the model itself is not touched. Several sequences may
    share one.
    """

    def __init__(self, model: nn.Module, rows: Tensor, weights: DraftWeights = "auto") -> None:
        """``rows`` int64 ``[n]``, ascending, on any device; see :func:`trimmed_head`."""
        head = head_of(model)
        assert isinstance(head, nn.Linear)
        self.rows = rows.to(head.weight.device)
        self.width: int = head.weight.shape[0]
        """Number of logits of the whole head."""
        self.first = int(rows[-1]) + 1 == len(rows)
        """Whether the rows are the first ones, of which a view is enough."""
        self._made_of = [part for part in (head.weight, head.bias) if part is not None]
        self._copied = Fingerprint(self._made_of)
        self._weight = self._of(head.weight.detach())
        self._bias = None if head.bias is None else self._of(head.bias.detach())
        if weights == "auto":
            weights = "packed" if fits([self._weight]) else "unpacked"
        self.close = IN_BYTES if weights == "int8" else _CLOSE.get(self._weight.dtype, 0.02)
        """How far logits may be from the model's own, as a share of the largest."""
        self._product = FewRows(self._weight, self._bias, ways_of(self._weight), weights)
        config = plain_of(model).config.get_text_config(decoder=True)
        self._scale = float(getattr(config, "logit_scale", None) or 1.0)
        self._scale *= float(getattr(config, "lm_head_multiplier", None) or 1.0)
        self._scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        self._cap = getattr(config, "final_logit_softcapping", None)

    @property
    def nbytes(self) -> int:
        """Memory taken beside the model."""
        weight, bias = (0 if t is None else t.numel() * t.element_size() for t in (self._weight, self._bias))
        return self._product.nbytes + (0 if self.first else weight + bias)

    def holds(self, model: nn.Module) -> bool:
        """Whether it still is made of the model's numbers; see :class:`Fingerprint`."""
        head = head_of(model)
        parts = [part for name in ("weight", "bias") if (part := getattr(head, name, None)) is not None]
        same = len(parts) == len(self._made_of) and all(map(operator.is_, parts, self._made_of))
        return same and self._copied.holds()

    def kept(self, hidden: Tensor) -> Tensor:
        """Logits of the kept rows: hidden states ``[..., h]`` to ``[..., n]``."""
        logits = self._product(hidden)
        if self._scale != 1:
            logits = logits * self._scale
        return logits if self._cap is None else torch.tanh(logits / self._cap) * self._cap

    def __call__(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[..., h]`` to logits ``[..., width]``; minus infinity where no row is kept."""
        kept = self.kept(hidden)
        logits = kept.new_full((*kept.shape[:-1], self.width), -torch.inf)
        if self.first:
            logits[..., : len(self.rows)] = kept
            return logits
        return logits.index_copy_(-1, self.rows, kept)

    def _of(self, values: Tensor) -> Tensor:
        return values[: len(self.rows)] if self.first else values.index_select(0, self.rows)


def kept_rows(model: nn.Module) -> list[int] | None:
    """The rows that a model's configuration names, if it does; see :mod:`anydraft.training.shrink`."""
    config = plain_of(model).config.get_text_config(decoder=True)
    rows: list[int] | None = getattr(config, KEPT_ROWS, None)
    return rows or None


def trimmed_head(model: nn.Module, rows: Tensor, weights: DraftWeights = "auto") -> TrimmedHead | None:
    """The head of ``model`` with only ``rows`` int64 ``[n]``, ascending; ``None`` if it cannot be trimmed.

    Tried once on a few tokens: it must give the model's own logits there. That leaves out models whose logits
    are made in a way of their own, quantised and adapted heads, and compiled models.
    """
    if hasattr(model, "_orig_mod") or type(head_of(model)) is not nn.Linear or len(rows) == 0:
        return None
    try:
        head = TrimmedHead(model, rows, weights)
        return head if _agrees(model, head) else None
    except (RuntimeError, TypeError, AttributeError, IndexError):
        return None


@torch.no_grad()
def _agrees(model: nn.Module, head: TrimmedHead) -> bool:
    ids = head.rows[torch.linspace(0, len(head.rows) - 1, 6).long()].to(embedding_of(model).device)
    whole: Tensor = model(input_ids=ids[None], use_cache=False, return_dict=True).logits[0]
    hidden = _decoder(model)(input_ids=ids[None], use_cache=False, return_dict=True).last_hidden_state[0]
    expected = whole.index_select(-1, head.rows.to(whole.device))
    furthest = (head.kept(hidden).to(expected) - expected).abs().amax()
    return whole.shape[-1] == head.width and bool(furthest <= head.close * expected.abs().amax())


def _decoder(runner: Any) -> Any:
    """What gives the hidden states; in version 4 a Gemma 3 calls itself its base."""
    base = runner.base_model
    return runner.get_decoder() if base is runner else base


class TrimmedModel(TransformersModel):
    """A transformers model with one sequence, whose logits are minus infinity but for the rows kept."""

    def __init__(self, model: nn.Module, head: TrimmedHead, passes: Passes = OWN_PASSES) -> None:
        """``head``: what :func:`trimmed_head` made of ``model``."""
        super().__init__(model, passes)
        self.head = head
        self.trims = True
        """Whether the trimmed head is used; the whole one may be for texts that it would not suit."""

    def read(self, ids: Tensor, cache: Any, keep: int, **arguments: Any) -> tuple[Tensor, Any]:
        """See :meth:`TransformersModel.read`."""
        if not self.trims:
            return super().read(ids, cache, keep, **arguments)
        given: dict[str, Any] = {name: value for name, value in arguments.items() if value is not None}
        given[self.cache_argument] = cache
        output = _decoder(self.runner)(input_ids=ids, use_cache=True, return_dict=True, **given)
        logits = self.head(output.last_hidden_state[:, -keep:])
        return self.on_device(logits), cache_returned(output)
