"""All that the decoding loop and the proposers know of a model, and what runs its passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import Module


class Model(Protocol):
    """A causal language model with the cache of one sequence.

    The rule of use is *feed what is not cached*: the caller keeps the ids, and passes
    ``ids[model.length:]`` to :meth:`advance`.
    """

    @property
    def vocab_size(self) -> int:
        """Width of the logits; at least the size of the tokenizer's vocabulary."""

    @property
    def window(self) -> int | None:
        """The longest context the model accepts, in tokens; ``None`` if unlimited."""

    @property
    def device(self) -> torch.device:
        """Where ids go in and logits come out."""

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """Append tokens to the context and return logits.

        Shapes: ``ids`` int64 ``[n]`` on :attr:`device`, n >= keep; result ``[keep, vocab_size]``: the
        logits after each of the last ``keep`` tokens, in the model's own dtype.
        """

    def settle(self, length: int) -> None:
        """The first ``length`` tokens of the text will stay, so that no crop but for another text goes below.

        A model whose states cannot be cropped keeps a copy from there. Without this, crops cost more.
        """

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` cached tokens; nothing happens if fewer are cached.

        A model that cannot go back to just so many forgets more: ask for :attr:`length` afterwards.
        """


@runtime_checkable
class Branching(Protocol):
    """A :class:`Model` that may be able to read a tree of tokens in one pass.

    A tree is written as the *parents* of its tokens: 0 stands for the text before it, ``i + 1`` for its
    token ``i``, which comes first. A token sees the text and those that lead to it, and nothing else.
    """

    @property
    def branches(self) -> bool:
        """Whether it can."""

    def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
        """Append tokens of the text, then a tree of ``k``; :meth:`prune` must follow.

        Shapes: ``ids`` int64 ``[n]``, n > k, of which the last ``k`` are the tree; result
        ``[k + 1, vocab_size]``: the logits after the text, and after each token of the tree.
        """

    def prune(self, length: int, path: Sequence[int]) -> None:
        """Keep ``length`` tokens, the text before the tree, and those of the tree's tokens in ``path``.

        Of these a model may keep fewer, the first of them: ask for :attr:`Model.length` afterwards.
        """


MASKS = "anydraft_masks"
"""The entry of a model's configuration that lists its masks, in order: one for each law after the first."""


@runtime_checkable
class LookingAhead(Protocol):
    """A :class:`Model` that may have learnt to give laws of more tokens than the next in one pass.

    See :mod:`anydraft.models.ahead`.
    """

    @property
    def masks(self) -> Tensor:
        """int64 ``[m]`` on the model's device: what stands for tokens not known yet; empty if it cannot."""


class Output(Protocol):
    """What a pass of transformers returns."""

    @property
    def logits(self) -> Tensor:
        """``[B, n, vocab_size]``."""


class Runner(Protocol):
    """What is called for a pass: a model of transformers, or code of our own on its weights."""

    def __call__(self, *, input_ids: Tensor, **given: Any) -> Output:
        """Logits of ids int64 ``[B, n]``; ``given``: what a model of transformers takes, its cache first."""


class Passes(Protocol):
    """How the passes of transformers models are run."""

    def runner(self, model: Module) -> Runner:
        """What to call instead of ``model``, with the arguments that it takes.

        Asked where a decode begins: what was made of the model's weights is made anew if they changed.
        """

    def sizes(self, runner: Runner) -> tuple[int, ...]:
        """Numbers of tokens that passes of ``runner`` are compiled for, if they are."""


class OwnPasses:
    """The models themselves, called as transformers calls them."""

    def runner(self, model: Module) -> Runner:
        """``model``."""
        return model

    def sizes(self, runner: Runner) -> tuple[int, ...]:
        """None."""
        return ()


OWN_PASSES = OwnPasses()
