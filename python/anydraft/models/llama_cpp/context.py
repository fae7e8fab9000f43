"""A context of our own on a user's ``llama_cpp.Llama``: the caches of some sequences, and its passes."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.llama_cpp.objects import check, closed, described, keeps_a_state
from anydraft.models.llama_cpp.tokens import Tokens
from anydraft.models.llama_cpp.trees import Trees

_ROLLBACK = 16
"""Tokens by which a recurrent state can be rolled back, where llama.cpp keeps copies of it."""

_PATHS = 16
"""Sequences beside those of the rows, for the paths of a tree; their keys are in the same cache."""


class Context:
    """The caches of ``count`` sequences of one model, each as long as the user's own context may be.

    Made with the parameters of the user's context, whose state is not touched: number of threads, layers on
    an accelerator, types of the cache, flash attention and LoRA adapter are the user's. These things differ:
    sliding windows keep all their keys, so that they can be cropped; embeddings are off; and one cache serves
    all sequences, with up to 16 more for the paths of trees. Those take no keys and values of their own, so
    contexts that read no trees (of drafts, with ``tree="off"``) have them too.
    A pass may have as many tokens as there are sequences at least.

    Raises:
        ModelError: a model that cannot speak token by token, or a context that llama.cpp cannot make.
    """

    def __init__(self, llama: Any, count: int = 1, window: int | None = None) -> None:
        """Memory for ``count`` times the keys and values of ``window`` tokens is set aside.

        ``window``: at most, and by default, ``llama.n_ctx()``.
        """
        check(llama)
        from llama_cpp import llama_cpp as api

        self._api = api
        self.llama = llama
        self.window = min(int(llama.n_ctx()), window or int(llama.n_ctx()))
        """Tokens that a sequence may have."""
        self.vocab_size = int(llama.n_vocab())
        self.lengths = [0] * count
        """Cached tokens of every sequence."""
        self._least = [0] * count
        """To how many tokens each can be cropped: a recurrent state goes back within the last pass only."""
        self._recurrent = keeps_a_state(llama)
        left = max(0, int(api.llama_max_parallel_sequences()) - count)
        spare = 0 if self._recurrent else min(_PATHS, left)
        given = llama.context_params
        params = type(given).from_buffer_copy(given)
        params.n_seq_max, params.kv_unified = count + spare, True
        # llama.cpp ends the process where a pass, or all of the cache, has fewer tokens than sequences.
        params.n_ctx = max(self.window * count, params.n_seq_max)
        params.n_batch = max(given.n_batch, params.n_seq_max)
        params.n_ubatch = min(given.n_ubatch, given.n_batch)
        params.swa_full, params.embeddings = True, False
        params.pooling_type = api.LLAMA_POOLING_TYPE_UNSPECIFIED
        params.n_rs_seq = min(_ROLLBACK, params.n_ubatch - 1) if self._recurrent else 0
        self._handle = api.llama_init_from_model(llama.model, params)
        if not self._handle:
            raise ModelError(
                f"got {described(llama)}, of which llama.cpp can make no further context of {params.n_ctx} "
                "tokens; expected room for its cache. Make the Llama with a smaller n_ctx"
            )
        self._free = weakref.finalize(self, api.llama_free, self._handle)
        # A context must be freed before its model.
        llama._model._exit_stack.callback(self._free)
        self._memory = api.llama_get_memory(self._handle)
        if self._memory is None:
            raise ModelError(f"got {described(llama)}, which has no cache; expected a model that writes")
        self._adapt()
        self._batch = Tokens(api, min(int(api.llama_n_batch(self._handle)), given.n_batch), count)
        self.trees = Trees(
            weakref.proxy(self), range(count, count + spare)
        )  # no cycle: memory is freed at once
        """Reads trees of tokens."""

    def _adapt(self) -> None:
        """Give the context the LoRA adapter that the user's has."""
        adapter = getattr(self.llama, "_lora_adapter", None)
        if adapter is None:
            return
        adapters = (self._api.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(self.llama.lora_scale)
        if self._api.llama_set_adapters_lora(self._handle, adapters, 1, scales):
            raise ModelError("got a LoRA adapter that llama.cpp would not give to a second context")

    def advance(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> list[Tensor]:
        """Append ``ids[i]`` int64 ``[n_i]`` to sequence ``rows[i]``; logits float32 ``[keep_i, vocab_size]``.

        In as few passes as the context's ``n_batch`` allows. If llama.cpp fails, or is interrupted, the
        caches of these sequences are emptied and the error goes on.

        Raises:
            ArgumentError: wrong shapes, or an id outside the model's vocabulary.
            ModelError: the Llama was closed, no room in the context, or llama.cpp failed.
        """
        self.open()
        for row, own, wanted in zip(rows, ids, keep, strict=True):
            self.check(own, wanted)
            self.check_room(row, len(own))
        self.trees.drop(rows)
        with self.undivided(rows):
            found = self.passes(rows, ids, keep)
            end = 0
            for row, own in zip(rows, ids, strict=True):
                start, end = end, end + len(own)
                piece = (end - 1) // self._batch.room * self._batch.room
                self._least[row] = self.lengths[row] + max(piece - start, 0) + 1 if self._recurrent else 0
                self.lengths[row] += len(own)
        return list(torch.split(found, list(keep)))

    def passes(self, rows: Sequence[int], ids: Sequence[Tensor], keep: Sequence[int]) -> Tensor:
        """As :meth:`advance`, without noting it: logits float32 ``[sum of keep, vocab_size]``."""
        counts = [len(own) for own in ids]
        tokens = np.concatenate([own.numpy() for own in ids])
        positions = np.concatenate(
            [self.lengths[r] + np.arange(n) for r, n in zip(rows, counts, strict=True)]
        )
        places = np.repeat(rows, counts)
        kept = np.concatenate([np.arange(n) >= n - k for n, k in zip(counts, keep, strict=True)])
        found = torch.empty((sum(keep), self.vocab_size))
        done = 0
        for start in range(0, len(tokens), self._batch.room):
            part = slice(start, start + self._batch.room)
            batch = self._batch.filled(tokens[part], positions[part], places[part], kept[part])
            count = int(kept[part].sum())
            self._decode(batch, found[done : done + count])
            done += count
        return found

    @property
    def room(self) -> int:
        """Tokens that a pass may have."""
        return self._batch.room

    def decode_shared(self, ids: Any, positions: Any, rows: Sequence[Sequence[int]], kept: Any) -> Tensor:
        """One pass over tokens each of which is in several sequences: the logits of those that are kept.

        Shapes: all ``[n]``, n at most :attr:`room`; result float32 ``[kept.sum(), vocab_size]``.
        """
        found = torch.empty((int(kept.sum()), self.vocab_size))
        self._decode(self._batch.shared(ids, positions, rows, kept), found)
        return found

    def _decode(self, batch: Any, found: Tensor) -> None:
        """A pass; ``found`` takes the logits ``[n, vocab_size]`` that are wanted of it."""
        code = self._api.llama_decode(self._handle, batch)
        if code == 1:
            raise ModelError(
                f"got a text that has no room in a context of {self.window} tokens; expected a shorter one, "
                "or a Llama with a larger n_ctx"
            )
        if code:
            raise ModelError(
                f"llama.cpp failed in a pass over {batch.n_tokens} tokens: llama_decode gave {code}"
            )
        if len(found):  # they are overwritten by the next pass
            logits = self._api.llama_get_logits(self._handle)
            found.copy_(torch.from_numpy(np.ctypeslib.as_array(logits, shape=tuple(found.shape))))

    def crop(self, row: int, length: int) -> None:
        """Forget all but the first ``length`` cached tokens of a sequence, or all where that cannot be done.

        A recurrent state goes back within the last pass, a few tokens at most; what was forgotten is to be
        fed again.

        Raises:
            ArgumentError: ``length`` is negative.
            ModelError: the Llama was closed.
        """
        if length < 0:
            raise ArgumentError(f"got a crop to {length} tokens; expected 0 or more")
        self.trees.drop([row])
        if self.lengths[row] <= length:
            return
        self.open()
        with self.undivided([row]):
            done = length >= max(self._least[row], 1)  # further back llama.cpp agrees too, and is wrong
            self.set_length(row, length if done and self.remove(row, length) else 0)

    def set_length(self, row: int, length: int) -> None:
        """Note that a sequence has so many tokens; if it has not, it is emptied."""
        if not self._holds(row, length):
            self.remove(row)
            length = 0
        self.lengths[row] = length

    def remove(self, row: int, start: int = -1) -> bool:
        """Take the tokens from a position on out of a sequence, all by default; whether that can be done."""
        return bool(self._api.llama_memory_seq_rm(self._memory, row, start, -1))

    def join(self, source: int, target: int) -> None:
        """Put the tokens of a sequence into an empty one too; nothing is moved."""
        self._api.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def grown(self, count: int) -> Context:
        """A context for up to ``count`` sequences, more than here, with what is cached, to the last bit.

        Raises:
            ModelError: llama.cpp cannot make it. Nothing has changed then.
        """
        self.open()
        self.trees.drop(range(len(self.lengths)))
        most = int(self._api.llama_max_parallel_sequences())
        if len(self.lengths) >= most:
            raise ModelError(
                f"got one more sequence than {most}, the most that llama.cpp takes; expected fewer at once"
            )
        made = Context(self.llama, min(count, most))
        for row, length in enumerate(self.lengths):
            if length and made._load(row, self._saved(row)):  # else it is read again
                made.lengths[row] = length
                made._least[row] = length if self._recurrent else 0
        return made

    def _saved(self, row: int) -> Any:
        """The cache of a sequence, in bytes of llama.cpp's own."""
        kept = (ctypes.c_uint8 * self._api.llama_state_seq_get_size(self._handle, row))()
        self._api.llama_state_seq_get_data(self._handle, kept, len(kept), row)
        return kept

    def _load(self, row: int, kept: Any) -> bool:
        """Take a cache over; whether it is there."""
        return bool(self._api.llama_state_seq_set_data(self._handle, kept, len(kept), row))

    def clear(self) -> None:
        """Forget everything."""
        self.trees.forget()
        if not closed(self.llama):
            self._api.llama_memory_clear(self._memory, 0)
        self.lengths = [0] * len(self.lengths)

    def _holds(self, row: int, length: int) -> bool:
        """Whether a sequence's cache has all of the first ``length`` tokens, and no others."""
        last = self._api.llama_memory_seq_pos_max(self._memory, row)
        first = self._api.llama_memory_seq_pos_min(self._memory, row)
        return last == length - 1 and (first == 0 or self._recurrent)

    def open(self) -> None:
        """Raise :class:`ModelError` if the Llama was closed."""
        if closed(self.llama):
            raise ModelError("got a Llama that was closed; expected it to stay open while it is decoded with")

    def check(self, ids: Tensor, keep: int) -> None:
        """Raise :class:`ArgumentError` for what :meth:`advance` does not take."""
        n = ids.shape[0] if ids.dim() == 1 else 0
        if not 1 <= keep <= n:
            raise ArgumentError(
                f"got ids of shape {list(ids.shape)} and keep={keep}; expected ids [n] with n >= keep >= 1"
            )
        low, high = torch.stack(torch.aminmax(ids)).tolist()
        if low < 0 or high >= self.vocab_size:
            raise ArgumentError(
                f"got token id {low if low < 0 else high}; expected ids from 0 to {self.vocab_size - 1}, the "
                f"vocabulary of {described(self.llama)}. Is this the model's own tokenizer?"
            )

    def check_room(self, row: int, n: int) -> None:
        """Raise :class:`ModelError` if so many tokens more are too many for a sequence."""
        if self.lengths[row] + n > self.window:
            raise ModelError(
                f"got {self.lengths[row] + n} tokens for a context of {self.window}; expected a shorter "
                "text, or a Llama with a larger n_ctx"
            )

    @contextmanager
    def undivided(self, rows: Sequence[int]) -> Iterator[None]:
        """An error or an interrupt inside leaves empty caches, not some that are half changed."""
        try:
            yield
        except BaseException:
            for row in rows:
                self.lengths[row] = 0
                if not closed(self.llama):
                    self.remove(row)
            self.trees.drop(rows)
            raise
