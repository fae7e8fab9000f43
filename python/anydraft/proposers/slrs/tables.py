"""What class coupling knows of a pair of vocabularies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anydraft.bridge.validation import contradiction
from anydraft.errors import ArgumentError
from anydraft.sampling.rejection import NO_TOKEN


@dataclass(frozen=True)
class ClassTables:
    """How target tokens are written with draft tokens, and back; all int64 on the CPU.

    ``T`` and ``D`` are the sizes of the tokenizers' vocabularies; bytes decide what is equal. Control tokens
    with the same role on both sides count as equal. :func:`reference.class_tables` is the slow
    definition of every field.

    *Crossing.* Some tokenizers leave the last of several spaces to the word that follows, others do not, so
    that ``"   " + " word"`` of one is ``"    " + "word"`` of the other. For a draft token of spaces,
    ``crossing`` is the target token that takes its place before a word; ``rest`` spells what is then left.
    """

    class_of: Tensor
    """``[T]``: the draft token with which the draft starts to write target token ``t``. For a crossing
    token: the draft token it takes the place of. For a token that the draft's tokenizer cannot write: a draft
    token equal to it, else one with it in its row, else ``NO_TOKEN``, and it is never proposed. Any choice is
    exact."""
    image: Tensor
    """``[D]``: the target token equal to draft token ``d``, or ``NO_TOKEN``."""
    offsets: Tensor
    """``[D + 1]``: where the rows of :attr:`ids` start."""
    ids: Tensor
    """``[N]``: the target tokens of every draft token: its image alone if there is one."""
    merge_keys: Tensor
    """``[M]``, ascending: ``a * D + e`` where the draft writes some target token as exactly ``(a, e)``
    and ``a`` is its class."""
    merge_ids: Tensor
    """``[M]``: that target token."""
    crossing: Tensor
    """``[D]``: for a draft token of spaces, the target token in its place before a word, or ``NO_TOKEN``."""
    rest_offsets: Tensor
    """``[D + 1]``: where the rows of :attr:`rest_ids` start."""
    rest_ids: Tensor
    """``[K]``: the target tokens of a draft token after a crossing; an empty row if it starts no word."""

    def __post_init__(self) -> None:
        """Raise :class:`ArgumentError` if the tables contradict each other: drafting would not be exact."""
        size = len(self.image)
        shapes = {
            "offsets": (len(self.offsets), size + 1),
            "crossing": (len(self.crossing), size),
            "rest_offsets": (len(self.rest_offsets), size + 1),
            "merge_ids": (len(self.merge_ids), len(self.merge_keys)),
        }
        for name, (got, expected) in shapes.items():
            if got != expected:
                raise ArgumentError(
                    f"class tables: {name} has {got} entries; the other tables need {expected}"
                )
        tables = (self.image, self.class_of, self.merge_keys, self.merge_ids, self.crossing)
        wrong = contradiction(*(table.numpy() for table in tables))
        if wrong is not None:
            raise ArgumentError(f"class tables: {wrong}")

    def owned(self) -> Tensor:
        """``[D]``: the image of ``d`` if ``d`` is its class, else ``NO_TOKEN``."""
        return torch.where(
            _at(self.class_of, self.image) == torch.arange(len(self.image)), self.image, NO_TOKEN
        )

    def ending(self) -> Tensor:
        """``[T]``: the class of all that can follow from a draft text that ends in target token ``t``.

        That is the draft token equal to ``t``, where the next draft token decides what is proposed in its
        place; ``NO_TOKEN`` where ``t`` itself is proposed, whatever follows.
        """
        ending = torch.full_like(self.class_of, NO_TOKEN)
        owned = self.owned()
        for source in (owned, torch.where(self.crossing >= 0, self.image, NO_TOKEN)):
            has = (source >= 0).nonzero().squeeze(-1)
            ending[source[has]] = has
        return ending


def _at(table: Tensor, index: Tensor) -> Tensor:
    return torch.where(index >= 0, table[index.clamp(min=0)], NO_TOKEN)
