"""The tokens of a pass of llama.cpp, as the arrays that it reads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np


class Tokens:
    """The arrays of a ``llama_batch``, made once."""

    def __init__(self, api: Any, room: int, count: int) -> None:
        """``count``: number of sequences that there are."""
        self.room = room
        """Tokens that a pass may have."""
        self._token, self._pos = np.zeros(room, np.int32), np.zeros(room, np.int32)
        self._kept, self._number = np.zeros(room, np.int8), np.ones(room, np.int32)
        self._names = np.arange(count, dtype=np.int32)
        self._addresses = self._names.ctypes.data + 4 * np.arange(count, dtype=np.uint64)
        self._named = np.zeros(room, np.uint64)
        kinds = dict(api.llama_batch._fields_)
        arrays: dict[str, Any] = {
            "token": self._token,
            "pos": self._pos,
            "n_seq_id": self._number,
            "seq_id": self._named,
            "logits": self._kept,
        }
        self._batch = api.llama_batch(
            n_tokens=0,
            **{name: ctypes.cast(array.ctypes.data, kinds[name]) for name, array in arrays.items()},
        )

    def filled(self, tokens: Any, positions: Any, rows: Any, kept: Any) -> Any:
        """The batch over these tokens: ids, positions, rows, and whose logits are wanted, ``[n]`` each."""
        n = self._begin(tokens, positions, kept)
        self._number[:n] = 1
        self._named[:n] = self._addresses[rows]
        return self._batch

    def shared(self, tokens: Any, positions: Any, rows: Sequence[Sequence[int]], kept: Any) -> Any:
        """The same of tokens each of which is in several sequences."""
        n = self._begin(tokens, positions, kept)
        self._lists = np.concatenate([np.asarray(names, np.int32) for names in rows])
        sizes = np.array([len(names) for names in rows], np.int64)
        self._number[:n] = sizes
        self._named[:n] = (self._lists.ctypes.data + 4 * (np.cumsum(sizes) - sizes)).astype(np.uint64)
        return self._batch

    def _begin(self, tokens: Any, positions: Any, kept: Any) -> int:
        n = len(tokens)
        self._token[:n], self._pos[:n], self._kept[:n] = tokens, positions, kept
        self._batch.n_tokens = n
        return n
