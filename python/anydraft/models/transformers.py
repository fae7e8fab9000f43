"""A transformers model and the cache of one sequence, behind the protocol of the decoding loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from transformers import DynamicCache

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.base import OWN_PASSES, Passes
from anydraft.models.called import CalledModel, types_at
from anydraft.models.faithful import own, tried_with
from anydraft.models.kv_cache import GrowingLayer, copy_into, copy_out, is_filled
from anydraft.models.loaded import in_training, is_compiled, masks_of
from anydraft.models.masks import MASKED, layer_masks
from anydraft.models.prefill import RowPrefill, positions_at
from anydraft.models.proven import TREES
from anydraft.models.sequence_cache import SequenceCache
from anydraft.models.trees import TreeLayout, prompt_first, tree_fault


class TransformersModel(CalledModel):
    """A decoder-only transformers model with the cache of one sequence.

    The model itself is never changed; several of these may share one model, each with its own sequence.
    Any device, any floating dtype. Sliding-window models keep all their keys, so they can be cropped to any
    length; a model with states (recurrent, convolutional, compressed) may lose more in a crop than asked, and
    is fed that again (:mod:`anydraft.models.rollback`). Tokens run without gradients, in the model's
    evaluation mode: a model in training mode is refused rather than switched, because dropout would change
    its law.

    Logits are those of the model's own ``generate``, token by token. Where it changes its rotary scales as
    the text grows (``"dynamic"``, ``"longrope"``) a pass is split (:mod:`anydraft.models.growing`). A class
    that is not known to read blocks as it reads tokens is tried first (:mod:`anydraft.models.faithful`).

    Raises:
        ModelError: an encoder-decoder, a model without a language-model head, one that does not read blocks
            as it reads tokens, or one in training mode.
    """

    def __init__(self, model: Module, passes: Passes = OWN_PASSES) -> None:
        """Wrap ``model``; a compiled or PEFT-wrapped model is called as it is.

        ``passes``: what runs its passes, by default the model itself.
        """
        super().__init__(model, passes)
        self._held = self._empty()
        self._read = torch.empty(0, dtype=torch.int64, device=self.device)
        """What was advanced, kept where the model may have to read it again."""
        self.token_types: Tensor | None = None
        """int64 ``[L]``, L >= 1: the types of the first tokens; the last holds for all that follow."""
        self._before: SequenceCache | None = None
        """The cache from before it was read again."""
        self.prefill: RowPrefill | None = None
        """How the first tokens are read, if not by their ids alone."""
        self._whole = 0
        """Tokens of the prompt that can only be forgotten together."""
        self._offset = torch.full((), self.way.shift, dtype=torch.int64, device=self.device)
        """What positions are beside the count of tokens: see :attr:`~anydraft.models.prefill.Read.offset`."""

    @property
    def length(self) -> int:
        """Number of tokens in the cache."""
        return self._held.length

    @property
    def stateful(self) -> bool:
        """Whether the cache has more than keys and values, so that a crop may lose more than asked."""
        return not self._held.croppable

    def settle(self, length: int) -> None:
        """See :class:`~anydraft.models.base.Model`."""
        self._held.settled = length

    @torch.no_grad()  # not inference_mode: a model may renew its own buffers, which must stay trainable
    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """Append tokens to the context and return logits.

        Shapes: ``ids`` int64 ``[n]`` on :attr:`device`, n >= keep >= 1; result ``[keep, vocab_size]`` in the
        model's dtype: the logits after each of the last ``keep`` tokens.

        If the model raises, the cache is emptied (:attr:`length` 0) and the error goes on.

        Raises:
            ArgumentError: wrong shape, or an id outside the model's vocabulary. Ids are checked where that
                costs no device synchronisation: always on a CPU, elsewhere at the start of a sequence.
            ModelError: the model was put in training mode, or returned no logits of the announced width.
        """
        self.check(ids, keep, None if self.length else self.prefill)
        with self._undivided():
            if self.prefill is not None and self.length == 0:
                logits = self._begin(self.prefill, ids, keep)
            elif self.way.shift and self.length == 0:
                logits = self._apart(ids, keep)
            else:
                logits = self._pass(ids, keep) if self.growing is None else self._split(ids, keep)
        if logits.shape != (keep, self.vocab_size) or not logits.is_floating_point():
            raise ModelError(
                f"got logits of shape {list(logits.shape)} in {logits.dtype} from "
                f"{type(self.plain).__name__}; expected real numbers [{keep}, {self.vocab_size}]"
            )
        return logits

    def _apart(self, ids: Tensor, keep: int) -> Tensor:
        """A prompt that sees all of itself, and the candidates after it, which it must not see."""
        self._whole = len(ids) - keep + 1
        found = [self._pass(ids[: self._whole], 1)]
        if keep > 1:
            found.append(self._pass(ids[self._whole :], keep - 1))
        return torch.cat(found)

    def _begin(self, prefill: RowPrefill, ids: Tensor, keep: int) -> Tensor:
        """The prompt as the model itself reads it, and what follows it behind that."""
        read = prefill.read()
        self._held.length, self._offset = read.fill(self._held.cache), read.offset
        self._whole = prefill.length
        following = ids[self.length :]
        if not len(following):
            return read.logits[None]
        logits = self._pass(following, min(keep, len(following)))
        return logits if keep <= len(following) else torch.cat((read.logits[None], logits))

    def _pass(self, ids: Tensor, keep: int) -> Tensor:
        return self._held.read(ids, keep, self._run_behind)

    def _run_behind(self, ids: Tensor, start: int, cache: Any, keep: int) -> tuple[Tensor, Any]:
        n = len(ids)
        positions = positions_at(start, n, self._offset)[..., None, :] if self.takes_positions else None
        types = None if self.token_types is None else types_at(self.token_types, start, n)[None]
        logits, returned = self.read(ids[None], cache, keep, position_ids=positions, token_type_ids=types)
        return logits[0], returned if self.way.own else cache

    @cached_property
    def masks(self) -> Tensor:
        """See :class:`~anydraft.models.base.LookingAhead`; none where a crop may lose more than was asked."""
        crops = self._held.croppable and self.growing is None and not self.way.own and not self.way.shift
        found = masks_of(self.plain) if crops else []
        return torch.tensor(found, dtype=torch.int64, device=self.device)

    @property
    def branches(self) -> bool:
        """See :class:`~anydraft.models.base.Branching`; tried once, on a few tokens.

        Of classes that are known to go by positions alone. Only on a CPU: a GPU's passes are recorded in
        fixed shapes; not behind pictures, nor where the user has compiled the model: every tree has a shape
        of its own, for which it would be compiled again.
        """
        plain, held = self.plain, self._held
        attention = plain.config.get_text_config(decoder=True)._attn_implementation
        known = own(plain) and type(plain).__name__ in TREES
        simple = held.gathers and self.growing is None and self.prefill is None and self.token_types is None
        if not (known and simple and self.device.type == "cpu" and attention in MASKED):
            return False
        if getattr(plain, "_tp_size", None) or is_compiled(self.given[0]):
            return False
        what = f"tree, {type(self.runner).__name__}, {attention}"
        return not tried_with(
            plain, what, frozenset(), lambda: tree_fault(lambda: TransformersModel(*self.given), plain)
        )

    @torch.no_grad()
    def branch(self, ids: Tensor, parents: Sequence[int]) -> Tensor:
        """See :class:`~anydraft.models.base.Branching`."""
        ids = prompt_first(self, ids, parents)
        keep = 1 + len(parents)
        self.check(ids, keep)
        with self._undivided():
            return self._held.read(ids, keep, partial(self._run_tree, parents))

    def prune(self, length: int, path: Sequence[int]) -> None:
        """See :class:`~anydraft.models.base.Branching`."""
        with self._undivided():
            self._held.prune(length, path)

    def _run_tree(
        self, parents: Sequence[int], ids: Tensor, start: int, cache: Any, keep: int
    ) -> tuple[Tensor, Any]:
        layout = TreeLayout(parents, start, len(ids), self.device)
        windows = [layer.window for layer in cache.layers]
        logits, _ = self.read(
            ids[None],
            cache,
            keep,
            position_ids=layout.positions[None],
            attention_mask=layer_masks(self.plain, windows, layout, self.dtype),
        )
        return logits[0], cache

    def _split(self, ids: Tensor, keep: int) -> Tensor:
        """A pass wherever plain decoding would change the rotary scales."""
        assert self.growing is not None
        growing, start = self.growing, self.length
        self._read = torch.cat((self._read[:start], ids))
        self._before = None
        first = len(self._read) - keep
        found = []
        for end in growing.ends(start, len(ids), keep):
            wanted = end - max(start, first)
            if growing.rereads and self.length and growing.differ(self.length, end):
                self._before, self._held = self._held, self._empty()
            growing.restore(self.runner)
            found.append(self._pass(self._read[self.length : end], wanted))
            start = end
        growing.restore(self.runner)
        return torch.cat(found)

    def check(self, ids: Tensor, keep: int, prefill: RowPrefill | None = None) -> None:
        """Raise what :meth:`advance` raises for its arguments; ``prefill``: what reads the first of them."""
        n = ids.shape[0] if ids.dim() == 1 else 0
        if not 1 <= keep <= n:
            raise ArgumentError(
                f"got ids of shape {list(ids.shape)} and keep={keep}; expected ids [n] with n >= keep >= 1"
            )
        if self.plain.training:
            raise in_training(self.plain)
        if prefill is not None and n - keep < prefill.length - 1:
            raise ArgumentError(
                f"got {n} ids, logits of {keep} wanted, for a prompt of {prefill.length} that is read at "
                "once; expected all of its ids, and no logits before its last"
            )
        if self.length == 0 or ids.device.type == "cpu":
            self.check_ids(ids if prefill is None else ids[prefill.length :])

    def renew(self) -> None:
        """Look at the model's weights again: a decode begins on what was read before."""
        model, passes = self.given
        self.runner = passes.runner(model)
        if self.way.shift:
            self._forget()  # another prompt sees all of itself

    def warm(self) -> None:
        """Have passes compiled or recorded now that are to be, so that none that is timed waits for it."""
        sizes = self.given[1].sizes(self.runner)
        if self.length or not sizes:
            return
        for n in (sizes[-1] + 1, *sizes):
            self.advance(torch.zeros(n, dtype=torch.int64, device=self.device))
        self.crop(0)

    @property
    def cache(self) -> Any:
        """transformers' cache object with all that was advanced."""
        return self._held.cache

    def adopt(self, cache: DynamicCache, padding: int = 0) -> None:
        """Start from a copy of what a cache of transformers' own holds after its padding, if anything.

        Raises:
            ModelError: it holds something, and the model may have to read that again.
        """
        self._forget()
        filled = is_filled(cache)
        again = self.growing is not None or self.way.own or self.way.shift > 0
        if filled and (again or (self.stateful and padding)):
            raise ModelError(
                f"got filled past_key_values of {type(self.plain).__name__}, which may have to read its text "
                "again; expected none. Leave them out"
            )
        if filled:
            self._held.length = copy_into(self._held.cache, cache, padding)

    def give_back(self, ids: Tensor, cache: DynamicCache | None) -> Any:
        """A cache that holds all of a text, int64 ``[L]``: ``cache``, if it is given, else our own.

        What a crop has lost of the text is read again. A model that makes its cache itself has no other.
        """
        if self.length < len(ids):
            self.settle(len(ids))
            self.advance(ids[self.length :])
        if cache is None and self.stateful and not self.way.own:
            cache = DynamicCache(config=self.plain.config.get_text_config(decoder=True))
        if cache is None or self.way.own:
            return self._held.cache
        copy_out(self._held.cache, cache)
        return cache

    def _empty(self) -> SequenceCache:
        return SequenceCache(self.plain, self.way, getattr(self.runner, "layer_of", GrowingLayer))

    def crop(self, length: int) -> None:
        """Forget all but the first ``length`` cached tokens, or more where a state goes further back.

        Nothing happens if fewer are cached.

        Raises:
            ArgumentError: ``length`` is negative.
        """
        if length < 0:
            raise ArgumentError(f"got a crop to {length} tokens; expected 0 or more")
        if length >= self.length:
            return
        if length < self._whole:
            self._forget()  # a part of such a prompt cannot be read again
            return
        with self._undivided():
            if self.growing is not None and self.growing.rereads and self.growing.differ(self.length, length):
                before = self._before
                self._forget()
                if before is not None:
                    self._held = before
                self.crop(length)
            elif not self._held.crop(length):
                self._forget()

    @contextmanager
    def _undivided(self) -> Iterator[None]:
        """An error or an interrupt inside leaves an empty cache, not one that is half changed."""
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._held, self._before, self._whole = self._empty(), None, 0
