"""The committed ids of one row, on the target's device and on the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from anydraft.decoding.stopping import Prefix


class Committed:
    """Ids that are only appended to: a tensor that grows in place, and the same as a list.

    Appending costs what is new, and nothing here waits for the device.
    """

    def __init__(self, ids: Sequence[int], device: torch.device) -> None:
        """Start with ``ids``, the prompt."""
        self._host = list(ids)
        self._store = torch.zeros(2 * len(ids) + 256, dtype=torch.int64, device=device)
        self._store[: len(ids)] = torch.tensor(ids, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        """Number of ids."""
        return len(self._host)

    def first(self, length: int) -> Tensor:
        """int64 ``[length]``: a view, valid until more is appended."""
        return self._store[:length]

    @property
    def ids(self) -> Tensor:
        """int64 ``[n]``: all of them."""
        return self.first(len(self._host))

    def prefix(self, length: int) -> Prefix:
        """The first ``length`` ids, for stopping rules."""
        return Prefix(self.first(length), lambda count: self._host[max(0, length - count) : length])

    def append(self, ids: list[int]) -> None:
        """Append host ids with one transfer."""
        start, end = len(self._host), len(self._host) + len(ids)
        if end > len(self._store):
            self._store = torch.cat((self._store, torch.zeros_like(self._store)))
        self._store[start:end] = torch.tensor(ids, dtype=torch.int64, device=self._store.device)
        self._host += ids

    def crop(self, length: int) -> None:
        """Keep the first ``length`` ids."""
        del self._host[length:]
