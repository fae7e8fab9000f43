"""The tables of class coupling as columns over the draft vocabulary, on the target's device."""

from __future__ import annotations

import bisect

import torch
from torch import Tensor

from anydraft.proposers.expansion import KEPT, Expansion
from anydraft.proposers.slrs.tables import ClassTables
from anydraft.sampling.rejection import NO_TOKEN


class ClassSpelling:
    """Class coupling's rules for one pair, ready to be applied to laws.

    A draft token is read as a row of target tokens, either whole or after a crossing. The last token of a row
    is *open* if the next draft token decides which target token takes its place; it is then spelled as its
    class alone. Every other token is spelled as its class and itself.
    """

    def __init__(self, tables: ClassTables, width: int, device: torch.device | str = "cpu") -> None:
        """``width``: the target's number of logits, at least the size of its vocabulary."""
        self.device = torch.device(device)
        self.size = len(tables.image)
        self.width = width
        self.named = len(tables.class_of)
        """Number of target tokens; logits beyond it are padding."""
        padding = (0, width - len(tables.class_of))
        class_of = tables.class_of.where(tables.class_of >= 0, self.size)
        self.class_of = torch.nn.functional.pad(class_of, padding, value=self.size).to(device)
        """int64 ``[V]``: the class of every target token; ``D`` for those without, and for padding."""
        self.whole = Expansion(tables.offsets, tables.ids, device)
        self.rest = Expansion(tables.rest_offsets, tables.rest_ids, device)
        self._ending = tables.ending().to(device)
        self._starts_word = self.rest.lengths > 0
        self._readings: dict[tuple[bool, int], tuple[Tensor, Tensor]] = {}
        self._host_class: list[int] = tables.class_of.tolist()
        self._host_ending: list[int] = tables.ending().tolist()
        self._host_owned: list[int] = tables.owned().tolist()
        self._host_crossing: list[int] = tables.crossing.tolist()
        self._merge_keys: list[int] = tables.merge_keys.tolist()
        self._host_merges: list[int] = tables.merge_ids.tolist()
        self._merge_followers = (tables.merge_keys % self.size).to(device)
        self._merge_ids = tables.merge_ids.to(device)
        self._members = self.class_of.argsort(stable=True)
        self._member_ends: list[int] = [
            0,
            *torch.bincount(self.class_of, minlength=self.size).cumsum(0).tolist(),
        ]

    def members(self, symbol: int) -> Tensor:
        """int64 ``[m]``: the target tokens of a class."""
        return self._members[self._member_ends[symbol] : self._member_ends[symbol + 1]]

    def reading(self, expansion: Expansion, depth: int) -> tuple[Tensor, Tensor]:
        """Class int64 ``[D]`` of token ``depth`` of every row (``D`` is none); whether it is open, bool."""
        key = expansion is self.rest, depth
        found = self._readings.get(key)
        if found is None:
            token = expansion.column(depth)
            ending = torch.where(expansion.lengths == depth + 1, self._ending[token], NO_TOKEN)
            found = torch.where(ending >= 0, ending, self.class_of[token]), ending >= 0
            if depth < KEPT:
                self._readings[key] = found
        return found

    def symbol(self, target_id: int, *, last: bool) -> tuple[int, bool]:
        """The same for one target token: its class, or ``NO_TOKEN``, and whether it is open."""
        if last and self._host_ending[target_id] >= 0:
            return self._host_ending[target_id], True
        return self._host_class[target_id], False

    def following(self, symbol: int) -> Tensor:
        """int64 ``[D]``: the target token in the place of an open class, by following token; V is none."""
        owned = self._host_owned[symbol]
        following = torch.full((self.size,), self.width if owned == NO_TOKEN else owned, device=self.device)
        if self._host_crossing[symbol] >= 0:
            following.masked_fill_(self._starts_word, self._host_crossing[symbol])
        low, high = (bisect.bisect_left(self._merge_keys, key * self.size) for key in (symbol, symbol + 1))
        if low < high:
            following[self._merge_followers[low:high]] = self._merge_ids[low:high]
        return following

    def follow(self, symbol: int, draft_id: int) -> tuple[int, str]:
        """One entry of :meth:`following`, and by which rule: ``merge``, ``crossing`` or ``own``."""
        key = symbol * self.size + draft_id
        at = bisect.bisect_left(self._merge_keys, key)
        if at < len(self._merge_keys) and self._merge_keys[at] == key:
            return self._host_merges[at], "merge"
        if self._host_crossing[symbol] >= 0 and self.rest.row(draft_id):
            return self._host_crossing[symbol], "crossing"
        return self._host_owned[symbol], "own"
